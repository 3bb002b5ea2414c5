"""A Hub on the loopback: as much of it as pushing and opening a model takes, as huggingface_hub speaks with it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_of_the_tests"


@dataclass
class Repository:
    """What one repository holds: files by commit."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    head: str = ""

    def add(self, files: dict[str, bytes]) -> str:
        """A new commit on top."""
        self.head = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[self.head] = files
        return self.head


class Hub:
    """All repositories, objects that were uploaded, and what was asked.

    Attributes:
        url: where it is.
        repositories: by name.
        requests: method and path of each request.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.url = ""

    @property
    def writes(self) -> list[str]:
        """Requests that send something."""
        return [request for request in self.requests if not request.startswith(("GET", "HEAD"))]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def answer(self, content: Any, status: int = 200, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status: int, message: str, code: str | None = None) -> None:
        self.answer({"error": message}, status, X_Error_Message=message, **({"X_Error_Code": code} if code else {}))

    def handle_request(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if self.command in ("GET", "HEAD"):
            self.read(path, known)
        elif self.command == "PUT":
            self.hub.objects[path.rpartition("/")[2]] = body
            self.answer({})
        elif not known and path != "/api/validate-yaml":  # which anyone may ask
            self.refuse(401, "Invalid username or password.")
        else:
            self.write(path, body)

    do_GET = do_HEAD = do_POST = do_PUT = handle_request

    def read(self, path: str, known: bool) -> None:
        match = re.fullmatch(r"/(?:api/models/)?([^/]+/[^/]+)(?:/(resolve|tree|revision)/([^/]+)(?:/(.*))?)?", path)
        assert match is not None, path
        name, what, revision, file = match.groups()
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not known):
            self.refuse(401, "Repository not found", "RepoNotFound")
            return
        commit = repository.head if revision in (None, "main") else revision
        files = repository.commits.get(commit)
        if files is None:
            self.refuse(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        elif what == "resolve":
            if file not in files:
                self.refuse(404, "Entry not found", "EntryNotFound")
                return
            self.answer(files[file], ETag=f'"{hashlib.sha256(files[file]).hexdigest()}"', X_Repo_Commit=commit)
        elif what == "tree":
            entries = [
                {"type": "file", "path": key, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for key, data in files.items()
            ]
            self.answer(entries)
        else:
            siblings = [{"rfilename": key} for key in files]
            self.answer({"id": name, "_id": "0", "sha": commit, "private": repository.private, "siblings": siblings})

    def write(self, path: str, body: bytes) -> None:
        hub = self.hub
        if path == "/api/validate-yaml":
            self.check_card(json.loads(body)["content"])
            return
        if path == "/api/repos/create":
            asked = json.loads(body)
            owner, name = asked.get("organization") or "me", asked["name"]
            if owner != "me":
                self.refuse(403, f"You don't have the rights to create a model under the namespace {owner!r}")
                return
            private = bool(asked.get("private")) or asked.get("visibility") == "private"
            hub.repositories[f"{owner}/{name}"] = Repository(private=private)
            hub.repositories[f"{owner}/{name}"].add({".gitattributes": b""})
            self.answer({"url": f"{hub.url}/{owner}/{name}"})
            return
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{hub.url}/objects/{one['oid']}"}}} for one in json.loads(body)["objects"]
            ]
            self.answer({"transfer": "basic", "objects": objects})
            return
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main", path)
        assert match is not None, path
        name, what = match.groups()
        if what == "preupload":
            files = [
                {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith((".safetensors", ".parquet")) else "regular"}
                for one in json.loads(body)["files"]
            ]
            self.answer({"files": [{**one, "shouldIgnore": False} for one in files]})
            return
        repository = hub.repositories[name]
        content = dict(repository.commits[repository.head])
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                content[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                content[value["path"]] = hub.objects[value["oid"]]
                assert hashlib.sha256(content[value["path"]]).hexdigest() == value["oid"]
            elif item["key"] == "deletedFile":
                del content[value["path"]]
        commit = repository.add(content)
        self.answer({"commitUrl": f"{hub.url}/{name}/commit/{commit}", "commitOid": commit})

    def check_card(self, text: str) -> None:
        """What the Hub's checker refuses, as far as it is known: metadata that is no YAML, or has values of a wrong type."""
        data = yaml.safe_load(text.split("---")[1])
        wrong = [key for key in ("library_name", "pipeline_tag", "license") if not isinstance(data.get(key), str)]
        for model in data.get("model-index", []):
            for result in model["results"]:
                if not (result["task"]["type"] and result["dataset"]["type"] and result["dataset"]["name"]):
                    wrong.append("model-index")
                wrong += ["metrics" for metric in result["metrics"] if not isinstance(metric["value"], float)]
        if wrong or data["license"] == "none of them":
            self.refuse(400, f"wrong: {wrong or data['license']}")
        else:
            self.answer({"errors": [], "warnings": []})


@contextmanager
def serving() -> Iterator[Hub]:
    """A Hub, for as long as the block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
