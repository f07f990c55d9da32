#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""bitnet-model pull against a local hub that drops, stalls, lies and redirects.

    pull_test.py BITNET_MODEL
"""
import hashlib
import http.server
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM = sys.argv.pop(1)


class Hub:
    """What the server has and how it misbehaves; `requests` notes (path, range, authorization)."""

    def __init__(self):
        self.files = {}
        self.behave = {}     # path -> list of behaviours, one per request; then it behaves
        self.list_change = lambda entries: entries
        self.requests = []

    def entry(self, path):
        data = self.files[path]
        entry = {"type": "file", "path": path, "size": len(data),
                 "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
        if path.endswith((".safetensors", ".gguf")):
            entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}
        return entry


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        hub, path = self.hub, self.path
        hub.requests.append((path, self.headers.get("Range"), self.headers.get("Authorization")))
        self.close_connection = True
        if path.startswith("/api/models/owner/name/tree/main"):
            entries = [{"type": "directory", "path": "1_Pooling", "oid": "x", "size": 0}]
            entries += [hub.entry(name) for name in hub.files]
            return self.answer(200, json.dumps(hub.list_change(entries)).encode())
        if path.startswith("/elsewhere/"):
            return self.serve(path[len("/elsewhere/"):])
        prefix = "/owner/name/resolve/main/"
        if not path.startswith(prefix) or path[len(prefix):] not in hub.files:
            return self.answer(404, b"no")
        name = path[len(prefix):]
        todo = hub.behave.get(name)
        how = todo.pop(0) if todo else "well"
        if callable(how):
            return how(self, name)
        return self.serve(name, how)

    def answer(self, status, body, headers=()):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        for key, value in headers:
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def serve(self, name, how="well"):
        data, start, status, extra = self.hub.files[name], 0, 200, []
        asked = self.headers.get("Range")
        if asked and how != "ignores the range":
            start = int(asked[len("bytes="):-1])
            status = 206
            claimed = start + 100 if how == "lies about the range" else start
            extra = [("Content-Range", "bytes %d-%d/%d" % (claimed, len(data) - 1, len(data)))]
        body = data[start:]
        if how == "wrong bytes":
            body = bytes(len(body))
        if how == "sends more":
            return self.answer(status, body + b"more", extra)
        if how == "says less":
            return self.answer(status, body[:len(body) // 2], extra)
        self.send_response(status)
        for key, value in extra:
            self.send_header(key, value)
        self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if how == "drops":
            self.wfile.write(body[:len(body) // 2])
        elif how == "stalls":
            self.wfile.write(body[:len(body) // 2])
            self.wfile.flush()
            time.sleep(4)
        else:
            self.wfile.write(body)


def redirect(where):
    return lambda handler, name: handler.answer(302, b"", [("Location", where % name)])


def status(code):
    return lambda handler, name: handler.answer(code, b"no")


class PullTest(unittest.TestCase):
    def setUp(self):
        self.hub = Hub()
        data = random.Random(1)
        self.hub.files = {
            "config.json": b"{}",
            "model.safetensors": data.randbytes(300_000),
            "tokenizer.json": data.randbytes(10_000),
            "1_Pooling/config.json": b"{}",
            "README.md": b"not needed",
            ".gitattributes": b"not needed",
            "onnx/model.onnx": b"not needed",
        }
        Handler.hub = self.hub
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.scratch.name) / "m"

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()
        self.scratch.cleanup()

    def pull(self, *options, endpoint=None, token="", repository="owner/name"):
        env = dict(os.environ, HF_TOKEN=token,
                   HF_ENDPOINT=endpoint or "http://127.0.0.1:%d" % self.server.server_port)
        env.pop("http_proxy", None)
        env["no_proxy"] = "*"
        return subprocess.run([PROGRAM, "pull", repository, "-o", str(self.folder), "--wait",
                               "0.01", "--stall", "1", "--attempts", "3", *options],
                              env=env, capture_output=True, text=True, timeout=120)

    def names(self):
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*")
                      if p.is_file())

    def check_whole(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.names(), ["1_Pooling/config.json", "config.json",
                                        "model.safetensors", "tokenizer.json"])
        for name in self.names():
            self.assertEqual((self.folder / name).read_bytes(), self.hub.files[name])

    def test_all_that_a_model_needs_and_nothing_else_is_fetched(self):
        self.check_whole(self.pull())
        before = len(self.hub.requests)
        again = self.pull()
        self.check_whole(again)
        self.assertEqual(again.stdout.count("was there"), 4)
        self.assertEqual(len(self.hub.requests), before + 1)  # the list alone

    def test_a_broken_transfer_goes_on_where_it_broke(self):
        for how in ("drops", "stalls"):
            self.hub.behave["model.safetensors"] = [how]
            self.check_whole(self.pull())
            ranges = [r for p, r, _ in self.hub.requests if p.endswith("model.safetensors")]
            self.assertEqual(ranges[-1], "bytes=150000-", how)
            (self.folder / "model.safetensors").unlink()

    def test_a_server_that_cannot_resume_is_read_anew(self):
        self.hub.behave["model.safetensors"] = ["drops", "ignores the range"]
        self.check_whole(self.pull())

    def test_a_server_that_goes_on_at_another_byte_is_not_believed(self):
        self.hub.behave["model.safetensors"] = ["drops", "lies about the range"]
        self.check_whole(self.pull())

    def test_too_little_is_asked_for_again(self):
        self.hub.behave["model.safetensors"] = ["says less"]
        self.check_whole(self.pull())

    def test_too_much_is_refused(self):
        self.hub.behave["model.safetensors"] = ["sends more"] * 10
        done = self.pull()
        self.assertEqual(done.returncode, 1)
        self.assertIn("sends more than the 300000 bytes", done.stderr)
        self.assertFalse((self.folder / "model.safetensors").exists())

    def test_wrong_content_never_appears_under_its_name(self):
        for name, kind in (("model.safetensors", "sha256"), ("tokenizer.json", "git")):
            self.hub.behave[name] = ["wrong bytes"]
            done = self.pull()
            self.assertEqual(done.returncode, 1, kind)
            self.assertIn("checksum is not the hub's", done.stderr)
            self.assertFalse((self.folder / name).exists())
            self.assertFalse((self.folder / (name + ".part")).exists())
        self.check_whole(self.pull())

    def test_a_damaged_file_on_disk_is_fetched_again(self):
        self.check_whole(self.pull())
        (self.folder / "model.safetensors").write_bytes(bytes(300_000))
        self.check_whole(self.pull())

    def test_redirects_are_followed_but_not_for_ever_nor_anywhere(self):
        self.hub.behave["model.safetensors"] = [redirect("/elsewhere/%s")]
        self.check_whole(self.pull())
        (self.folder / "model.safetensors").unlink()
        self.hub.behave["model.safetensors"] = [redirect("/owner/name/resolve/main/%s")] * 50
        self.assertEqual(self.pull().returncode, 1)
        self.hub.behave["model.safetensors"] = [redirect("file:///etc/%s")] * 50
        done = self.pull()
        self.assertEqual(done.returncode, 1)
        self.assertFalse((self.folder / "model.safetensors").exists())

    def test_the_token_goes_to_the_hub_and_not_to_another_host(self):
        other = "http://localhost:%d/elsewhere/" % self.server.server_port
        self.hub.behave["model.safetensors"] = [redirect(other + "%s")]
        self.check_whole(self.pull(token="secret"))
        by_path = {path: authorization for path, _, authorization in self.hub.requests}
        self.assertEqual(by_path["/owner/name/resolve/main/config.json"], "Bearer secret")
        self.assertIsNone(by_path["/elsewhere/model.safetensors"])

    def test_refusals_say_what_to_do(self):
        self.hub.behave["model.safetensors"] = [status(403)] * 9
        self.assertIn("HTTP 403", self.pull().stderr)
        done = self.pull(repository="owner/other")
        self.assertEqual(done.returncode, 1)
        self.assertIn("check owner, name and revision", done.stderr)
        for bad in ("name", "../x", "a/b/c", "owner/", "owner/na me"):
            self.assertEqual(self.pull(repository=bad).returncode, 3, bad)
        self.assertEqual(self.pull(endpoint="file:///etc").returncode, 3)
        self.assertEqual(self.pull("--file", "nothing.gguf").returncode, 3)

    def test_a_server_in_trouble_is_asked_again(self):
        self.hub.behave["model.safetensors"] = [status(503), status(429)]
        self.check_whole(self.pull())
        (self.folder / "model.safetensors").unlink()
        self.hub.behave["model.safetensors"] = [status(503)] * 9
        self.assertIn("HTTP 503", self.pull().stderr)

    def test_paths_in_the_list_cannot_leave_the_folder(self):
        for path in ("../evil.safetensors", "/etc/evil.safetensors", "a/../../evil.safetensors",
                     "a//b.safetensors", "a\\b.safetensors", "a\nb.safetensors"):
            self.hub.list_change = lambda entries, path=path: entries + [
                {"type": "file", "path": path, "size": 1, "oid": "0" * 40}]
            done = self.pull()
            self.assertEqual(done.returncode, 1, path)
            self.assertIn("could leave the folder", done.stderr)
            self.assertEqual(self.names() if self.folder.exists() else [], [])

    def test_a_list_that_is_none_is_refused(self):
        for wrong in ({"error": "x"}, [{"type": "file"}], [1], "x"):
            self.hub.list_change = lambda entries, wrong=wrong: wrong
            done = self.pull()
            self.assertEqual(done.returncode, 1, wrong)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1)

    def test_one_gguf_of_several_must_be_chosen(self):
        self.hub.files = {"a.gguf": b"a" * 50, "b.gguf": b"b" * 50}
        done = self.pull()
        self.assertEqual(done.returncode, 3)
        self.assertIn("a.gguf, b.gguf", done.stderr)
        self.assertEqual(self.pull("--file", "b.gguf").returncode, 0)
        self.assertEqual(self.names(), ["b.gguf"])
        self.assertIn("a.gguf", self.pull("--list").stdout)


if __name__ == "__main__":
    unittest.main()
