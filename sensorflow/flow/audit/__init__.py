"""The audit: compares ledger, disk and database. It only reads, and takes no locks."""

from sensorflow.flow.audit.context import AuditContext
from sensorflow.flow.audit.report import Level, Report, Subset
from sensorflow.flow.audit.run import audit

__all__ = ["AuditContext", "Level", "Report", "Subset", "audit"]
