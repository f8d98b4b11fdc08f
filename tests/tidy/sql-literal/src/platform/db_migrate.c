enum err e = db_script(db, migration->text, error);
