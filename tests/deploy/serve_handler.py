"""Serves the handler.py of a folder over HTTP as Inference Endpoints do: python serve_handler.py FOLDER.

hf_bilstm cannot be imported here, unless a second argument says "installed". Prints the address.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

folder = sys.argv[1]
if sys.argv[2:] != ["installed"]:
    sys.modules["hf_bilstm"] = None
spec = importlib.util.spec_from_file_location("handler.EndpointHandler", Path(folder, "handler.py"))
module = importlib.util.module_from_spec(spec)
sys.modules["handler.EndpointHandler"] = module
spec.loader.exec_module(module)
endpoint = module.EndpointHandler(folder)
pipelines = sys.modules[type(endpoint._tagger).__module__].__name__


class Requests(BaseHTTPRequestHandler):
    def do_POST(self):
        try:
            data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = 200, json.dumps(endpoint(data))
        except ValueError as error:  # any exception is a 400 there; here the rest shows as what it is, a defect
            status, answer = 400, json.dumps({"error": str(error)})
        except Exception as error:
            status, answer = 500, json.dumps({"error": repr(error)})
        body = answer.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", 0), Requests)
sys.stdout.write(f"http://127.0.0.1:{server.server_port} {pipelines}\n")
sys.stdout.flush()
server.serve_forever()
