-- Sources that are paused or draining. An active source has no row.

-- name: controls
SELECT source, mode, since, actor, reason FROM source_controls ORDER BY source;

-- name: hold_back
-- If the source is already in this mode, its time does not change, and its actor and reason change only if
-- another reason is given.
INSERT INTO source_controls AS c (source, mode, since, actor, reason)
VALUES (:source, :mode, clock_timestamp(), :actor, CAST(:reason AS text))
ON CONFLICT (source) DO UPDATE
   SET mode = excluded.mode,
       since = CASE WHEN c.mode = excluded.mode THEN c.since ELSE excluded.since END,
       actor = CASE WHEN c.mode = excluded.mode AND coalesce(excluded.reason = c.reason, excluded.reason IS NULL)
                    THEN c.actor ELSE excluded.actor END,
       reason = CASE WHEN c.mode = excluded.mode THEN coalesce(excluded.reason, c.reason)
                     ELSE excluded.reason END
RETURNING source, mode, since, actor, reason;

-- name: resume_source
DELETE FROM source_controls WHERE source = :source;
