"""sensorflow: dropped sensor files become database rows, exactly once.

The map of the flow, in the data's order:

    flow.intake      the complete files of all feeds, each source in its turn
    flow.land        copy their bytes, hashed and synced, into the landing zone
    flow.register    one ledger row for each version of a file's content
    flow.publish     one message a file, never data
    flow.process     take a file through the stages that are left
    flow.validate    landed bytes -> bronze rows and rejects
    flow.transform   bronze -> canonical readings (silver)
    flow.load        silver -> the database, rows and ledger state in one transaction
    flow.quarantine  files that cannot be loaded, with a manifest
    flow.housekeeping  publish again whatever is stale, and remove what is kept for a time only

``core`` is pure (Arrow in, Arrow out), ``ports`` names what the flow needs of the world,
``adapters`` provide it, ``bootstrap`` wires the two together.
"""

__version__ = "0.3.0.dev0"
