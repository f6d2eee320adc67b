# %% [markdown]
# # What did the sensors say?
# Run it in a project's folder: as a script, or cell by cell in an editor that knows `# %%`.

# %%
from datetime import UTC, datetime, timedelta

import pandas as pd

import sensorflow

client = sensorflow.Client()
files = pd.DataFrame(client.files())
print(files[["name", "state", "read", "loaded", "rejected"]].to_string(index=False))

# %% [markdown]
# The last week in which there are readings, an hour a row, a sensor a column.

# %%
end = files["last_reading"].max() + timedelta(seconds=1)
readings = client.readings(end - timedelta(days=7), end, type="temperature").to_pandas()
hours = readings.pivot_table("value", pd.Grouper(key="ts", freq="h"), "sensor_id")
print(hours.round(2))

# %% [markdown]
# All of a year may be more than the memory holds: batch by batch, only what is asked for is kept.

# %%
highest: dict[str, float] = {}
for batch in client.readings(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)):
    for sensor, value in batch.to_pandas().groupby("sensor_id")["value"].max().items():
        highest[str(sensor)] = max(value, highest.get(str(sensor), value))
print(highest)

# %% [markdown]
# What was refused, and why.

# %%
rejects = client.rejects().to_pandas()
print(rejects.groupby(["file", "code"]).size().to_string())
client.close()
