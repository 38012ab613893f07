"""An objective whose module never ends being imported."""

import time

time.sleep(3600)  # <- does-not-train
