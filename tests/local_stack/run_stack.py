"""Run `up` over the programs described by the JSON argument; its exit status is ours."""

import json
import sys
from pathlib import Path

from footnote.local_stack.services import Programs, Service
from footnote.local_stack.stack import up
from footnote.settings import Settings

described = json.loads(sys.argv[1])
services = tuple(Service(**service) for service in described["services"])
settings = Settings(**(described["settings"] | {"data_dir": Path(described["settings"]["data_dir"])}))
sys.exit(up(settings, Programs(described["migrate"], services)))
