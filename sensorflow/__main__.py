from sensorflow.cli import main

main()
