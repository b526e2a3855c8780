"""Any `.npz` in MedMNIST's layout: `{train,val,test}_{images,labels}`."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from medcoreset.datasets.canonical import ARRAYS, Dataset
from medcoreset.errors import UserError


def read(name: str, path: str | Path, info: dict[str, Any] | None = None) -> Dataset:
    """Return the dataset in the `.npz` file `path`.

    Images are uint8 (N, H, H) or (N, H, H, 3), labels integers (N,) or (N, 1). Pickled objects are
    refused. Raises UserError, naming the file, if it is missing, broken, or laid out otherwise.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"dataset {name}: no file {path}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [array for array in ARRAYS if array not in archive.files]
            if missing:
                raise UserError(f"dataset {name}: {path} has no {', '.join(missing)}")
            arrays = {array: archive[array] for array in ARRAYS}
    except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"dataset {name}: {path} is not a readable .npz file: {error}") from error
    return Dataset(name=name, info={"source": str(path), **(info or {})}, **arrays)
