"""The Python API: what `import sensorflow` offers to notebooks and to other programs.

Its names are those of `sensorflow.__all__`; they are imported when they are first used.
"""
