"""The Python API for notebooks and other programs.

Programs use it by `import sensorflow`: `sensorflow.__all__` lists all public names. Each name is imported
when it is used for the first time.
"""
