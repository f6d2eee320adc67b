"""The proof: ledger, disk and database are held against each other. Reads only, and locks nothing."""

from sensorflow.flow.audit.report import Level, Report, Subset
from sensorflow.flow.audit.run import audit
from sensorflow.flow.audit.sight import Sight

__all__ = ["Level", "Report", "Sight", "Subset", "audit"]
