-- The project, whose id each location of its files records.

-- name: project
-- has_files: whether the ledger contains a file. has_landed, has_layers: whether there must be landed bytes, and
-- files in the lake: archives have none there, and an undo leaves bronze. Retention removes those of old files,
-- therefore the latest files are looked at first.
SELECT
    CAST(id AS text) AS id,
    EXISTS (SELECT FROM files) AS has_files,
    (SELECT true FROM files WHERE 'landing' <> ALL (expired) ORDER BY id DESC LIMIT 1) IS NOT NULL AS has_landed,
    (
        SELECT true FROM files
        WHERE state IN ('loaded', 'undone') AND rows_loaded > 0 AND 'bronze' <> ALL (expired) ORDER BY id DESC LIMIT 1
    ) IS NOT NULL AS has_layers
FROM project;
