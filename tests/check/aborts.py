"""An objective whose module ends the process that imports it."""

import os

os.abort()  # <- does-not-train
