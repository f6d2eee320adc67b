-- The project, whose id each location of its files records.

-- name: project
-- has_files: whether the ledger contains a file.
SELECT CAST(id AS text) AS id, EXISTS (SELECT FROM files) AS has_files FROM project;
