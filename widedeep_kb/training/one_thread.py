"""Importing this before numpy, torch or a tokenizer keeps the process at one thread: workers share the cores already.

In: nothing. Out: environment variables of this process.
"""

import os

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS")

os.environ.update(dict.fromkeys(VARIABLES, "1"), TOKENIZERS_PARALLELISM="false")
