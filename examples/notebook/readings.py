# %% [markdown]
# # Query readings
# Run this file in the folder of a project: as a script, or cell by cell in an editor that supports `# %%`.

# %%
from datetime import UTC, datetime, timedelta

import pandas as pd

import sensorflow

client = sensorflow.Client()
files = pd.DataFrame(client.files())
print(files[["name", "state", "read", "loaded", "rejected"]].to_string(index=False))

# %% [markdown]
# The last week with readings: one row per hour, one column per sensor.

# %%
end = files["last_reading"].max() + timedelta(seconds=1)
readings = client.readings(end - timedelta(days=7), end, type="temperature").to_pandas()
hours = readings.pivot_table("value", pd.Grouper(key="ts", freq="h"), "sensor_id")
print(hours.round(2))

# %% [markdown]
# The readings of a whole year may need more memory than the machine has. Therefore they are read in
# batches, and only the results are kept.

# %%
highest: dict[str, float] = {}
for batch in client.readings(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)):
    for sensor, value in batch.to_pandas().groupby("sensor_id")["value"].max().items():
        highest[str(sensor)] = max(value, highest.get(str(sensor), value))
print(highest)

# %% [markdown]
# The number of rejected rows, by file and error code.

# %%
rejects = client.rejects().to_pandas()
print(rejects.groupby(["file", "code"]).size().to_string())
client.close()
