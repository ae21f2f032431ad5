-- Whether a backup was put back since the device was last heard in the epoch of that database: then it knows more, and nobody is alarmed.
ALTER TABLE devices ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;
