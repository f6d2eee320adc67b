"""The table with the id of the project."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, Table, Uuid, text

from sensorflow.adapters.postgres.schema.columns import metadata

project = Table(
    "project",
    metadata,
    # always true, so the table has one row
    Column("is_only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("id", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    CheckConstraint("is_only_row", name="ck_project_one_row"),
)
