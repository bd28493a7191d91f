"""Saves a text file the way JupyterLab's server does: save_like_jupyter.py FILE TEXT

The steps are those of jupyter_server.services.contents.fileio.atomic_writing: an existing file is copied to .~NAME
beside it, the file itself is truncated and written and synced, and the copy is removed."""
import os
import shutil
import sys

path, text = sys.argv[1], sys.argv[2]
folder, name = os.path.split(path)
copy = os.path.join(folder, ".~" + name)
if os.path.isfile(path):
    shutil.copyfile(path, copy)
    try:
        shutil.copystat(path, copy)
    except OSError:
        pass
with open(path, "w", encoding="utf-8") as out:
    out.write(text)
    out.flush()
    os.fsync(out.fileno())
if os.path.isfile(copy):
    os.remove(copy)
