"""Files and folders that are written whole or not at all, and can be checked later."""
