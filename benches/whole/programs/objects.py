"""Objects and JSON as services handle them. `objects.py ROUNDS`. Run by run.py with PYTHONMALLOC=malloc."""
import json
import sys

kept = []
for i in range(int(sys.argv[1])):
    kept.append(json.dumps([{"a": j, "b": str(j)} for j in range(100)]))
    json.loads(kept[-1])
