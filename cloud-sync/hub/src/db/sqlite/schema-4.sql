-- Whether a backup was put back since the device was last heard in the epoch of that database: then it knows more, and nobody is alarmed.
ALTER TABLE devices ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;
-- What takes room beside its rows: gaps, boots, and one for each ten rows that were refused.
ALTER TABLE devices ADD COLUMN others INTEGER NOT NULL DEFAULT 0;
