"""The audit: compare ledger, disk and database. Reads only, and takes no locks."""

from sensorflow.flow.audit.report import Level, Report, Subset
from sensorflow.flow.audit.run import audit
from sensorflow.flow.audit.sight import Sight

__all__ = ["Level", "Report", "Sight", "Subset", "audit"]
