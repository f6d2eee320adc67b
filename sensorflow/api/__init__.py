"""The Python API: what `import sensorflow` offers to notebooks and other programs.

The names are those in `sensorflow.__all__`. Each is imported on first use.
"""
