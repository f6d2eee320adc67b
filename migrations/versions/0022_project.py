"""The id of this project. Each location of its files records the id, so that no other project uses it.

A dump of the database contains the id: a project that was restored still owns its locations.

Revision: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

GRANTS = """
DO $roles$
BEGIN
    IF to_regrole('sensorflow_loader') IS NOT NULL THEN
        GRANT SELECT ON project TO sensorflow_loader;
    END IF;
    IF to_regrole('sensorflow_reader') IS NOT NULL THEN
        GRANT SELECT ON project TO sensorflow_reader;
    END IF;
    IF to_regrole('sensorflow_owner') IS NOT NULL THEN
        GRANT ALL ON project TO sensorflow_owner;
    END IF;
    IF (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'files'::regclass)
       = 'sensorflow_owner' THEN
        ALTER TABLE project OWNER TO sensorflow_owner;
    END IF;
END $roles$;
"""

# A downgrade keeps the id in a comment. Otherwise the next upgrade would make another one, and the project
# would be refused its own locations.
KEEP = """
DO $keep$
BEGIN
    EXECUTE format('COMMENT ON TABLE files IS %L', 'sensorflow: project ' || (SELECT id FROM project));
END $keep$;
"""
RESTORE = """
DO $restore$
DECLARE
    comment text := obj_description('files'::regclass, 'pg_class');
    kept text := substring(comment FROM '^sensorflow: project (.+)$');
BEGIN
    IF kept IS NOT NULL THEN
        UPDATE project SET id = CAST(kept AS uuid);
        COMMENT ON TABLE files IS NULL;
    END IF;
END $restore$;
"""


def upgrade() -> None:
    """Creates a table with one row. Locks no other table."""
    op.create_table(
        "project",
        sa.Column("is_only_row", sa.Boolean, primary_key=True, server_default=sa.text("true")),
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.CheckConstraint("is_only_row", name="ck_project_one_row"),
    )
    op.execute("INSERT INTO project DEFAULT VALUES")
    op.execute(RESTORE)
    op.execute(GRANTS)


def downgrade() -> None:
    op.execute(KEEP)
    op.drop_table("project")
