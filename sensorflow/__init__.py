"""sensorflow: dropped sensor files become database rows, exactly once.

The map of the flow, in the data's order:

    flow.detect      which files of a folder are complete
    flow.land        copy their bytes, hashed and synced, into the landing zone
    flow.register    one ledger row for each version of a file's content
    flow.publish     one message a file, never data
    flow.validate    landed bytes -> bronze rows and rejects
    flow.transform   bronze -> canonical readings (silver)
    flow.load        silver -> the database, rows and ledger state in one transaction
    flow.quarantine  files that cannot be loaded, with a manifest
    flow.sweep       publish again whatever is stale

``core`` is pure (Arrow in, Arrow out), ``ports`` names what the flow needs of the world,
``adapters`` provide it, ``bootstrap`` wires the two together.
"""

__version__ = "0.3.0.dev0"
