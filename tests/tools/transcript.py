#!/usr/bin/env python3
"""Replays transcripts (requests with the answers that the reference server gave) against any server.

usage: transcript.py replay --base URL --internal URL --user NAME --password PW [--keep-going] [--have A,B] [--areas-not-built A,B] FILE...
       transcript.py record --base URL --internal SERVICE=URL,... --user NAME --password PW FILE...

`record` fills in each step's `expect` from what the server answers. Needs requests, cryptography, PyYAML.
Exit status: 0 where every step answered as expected, 1 otherwise. The format is described in ../compat/README.md.
"""
import argparse
import base64
import gzip
import hashlib
import io
import json
import lzma
import re
import secrets
import sys
import tarfile
import time

import requests
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
OBJECT_ID = re.compile(r"^[0-9a-f]{24}$")
JWT = re.compile(r"^[\w-]+\.[\w-]+\.[\w-]+$")
KINDS = {"$uuid": UUID, "$time": TIME, "$oid": OBJECT_ID, "$jwt": JWT}
HEADERS = ("content-type", "location", "link", "x-total-count", "etag", "retry-after", "cache-control", "allow", "www-authenticate", "set-cookie",
           "content-disposition")

AREAS = {"devauth": "auth", "authentication": "auth", "useradm": "users", "tenantadm": "tenants", "auditlogs": "audit",
         "inventory": "inventory", "reporting": "search", "deviceconfig": "config", "deviceconnect": "messaging",
         "devicemonitor": "monitor", "iot-manager": "integrations"}
ARTIFACTS = re.compile(r"(artifacts|software|limits/storage|deployments/releases|releases|tenants/[^/]*/(artifacts|storage|limits))(/|$)")


def area_of(step):
    """The area that answers a request step; None where none does (unknown routes)."""
    if step.get("base") == "workflows":
        return "workflows"
    m = re.match(r"/api/(?:devices|management|internal)/v[^/]*/([^/?]+)/?(.*)", step["path"])
    if m and m[1] == "useradm" and (re.match(r"(settings|plans|permission_sets)", m[2])
                                    or step.get("method") == "PUT" and m[2].startswith("users/")):
        return "users-more"
    if m and m[1] == "deployments":
        return "artifacts" if ARTIFACTS.match(m[2].split("?")[0]) else "deployments"
    return AREAS.get(m[1]) if m else None


class Key:
    def __init__(self, kind):
        self.key = {"ed25519": ed25519.Ed25519PrivateKey.generate, "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
                    "p224": lambda: ec.generate_private_key(ec.SECP224R1()), "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
                    "p521": lambda: ec.generate_private_key(ec.SECP521R1()), "rsa": lambda: rsa.generate_private_key(65537, 2048)}[kind]()
        self.pub = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, body):
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            sig = self.key.sign(body)
        elif isinstance(self.key, rsa.RSAPrivateKey):
            sig = self.key.sign(body, padding.PKCS1v15(), hashes.SHA256())
        else:
            sig = self.key.sign(body, ec.ECDSA(hashes.SHA256()))
        return base64.b64encode(sig).decode()


def artifact(name, device_types=("raspberrypi4",), payload="hello", kind="single-file", group=None, depends=None, provides=None,
             clears=("rootfs-image.*",), files=None, meta=None, type_depends=None, type_name=None, payloads=None, scripts=None, version=3,
             signed=False, compress="gz", **more):
    """An artifact: version 3 with one payload, unless asked otherwise. `break` damages it (see the README)."""
    bad = more.pop("break", None) or {}
    if more:
        raise SystemExit(f"artifact: unknown {sorted(more)}")
    text, omit, rename = bad.get("text") or {}, bad.get("omit") or [], bad.get("rename") or {}
    suffix = "" if compress == "none" else "." + compress

    def tar(members):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as t:
            for path, data in members:
                info = tarfile.TarInfo(rename.get(path, path))
                info.size, info.mode = len(data), 0o600
                t.addfile(info, io.BytesIO(data))
        return out.getvalue()

    def pack(data):
        if compress == "zst":  # a frame of stored blocks
            blocks = [data[i:i + 100000] for i in range(0, len(data), 100000)]
            return b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little") + b"".join(
                (len(b) << 3 | (i == len(blocks) - 1)).to_bytes(3, "little") + b for i, b in enumerate(blocks))
        return {"none": bytes, "xz": lzma.compress}.get(compress, lambda d: gzip.compress(d, mtime=0))(data)

    def members(pairs, order=None):
        pairs = {p: c if isinstance(c, bytes) else (c if isinstance(c, str) else json.dumps(c, separators=(",", ":"))).encode()
                 for p, c in {**pairs, **{p: t for p, t in text.items() if p in pairs or order and p in order}}.items()}
        return [(p, pairs[p]) for p in order or pairs if p not in omit]

    if payloads is None:
        payloads = [{"kind": kind, "files": files if files is not None else {} if kind is None else {"file": payload}, "meta": meta,
                     "provides": {f"rootfs-image.{kind}.version": name} if provides is None and kind else provides,
                     "depends": type_depends, "clears": clears, "type": type_name}]
    for p in payloads:
        p["files"] = {n: c.encode() for n, c in (p.get("files") or {}).items()}
    if version >= 3:
        info = {"payloads": [{"type": p.get("kind")} for p in payloads],
                "artifact_provides": {"artifact_name": name, **({"artifact_group": group} if group else {})},
                "artifact_depends": {"device_type": list(device_types), **(depends or {})}}
    else:
        info = {"updates": [{"type": p.get("kind")} for p in payloads], "device_types_compatible": list(device_types), "artifact_name": name}
    head = {"header-info": info, **{"scripts/" + n: c for n, c in (scripts or {}).items()}}
    for i, p in enumerate(payloads):
        at = f"headers/{i:04}/"
        typ = {"type": p.get("kind") if p.get("type") is None else p["type"]}
        if version >= 3:
            typ.update({k: v for k, v in (("artifact_provides", p.get("provides")), ("artifact_depends", p.get("depends")),
                                          ("clears_artifact_provides", p.get("clears"))) if v})
        else:
            head[at + "files"] = {"files": list(p["files"])}
        head[at + "type-info"] = typ
        if p.get("meta") is not None or version < 3:
            head[at + "meta-data"] = p.get("meta") or ""
    header = pack(tar(members(head, bad.get("header"))))
    ver = dict(members({"version": {"format": "mender", "version": version}})).get("version", b"")
    sums = {f"data/{i:04}/{n}": c for i, p in enumerate(payloads) for n, c in p["files"].items()}
    sums.update({"header.tar" + suffix: header, "version": ver})
    manifest = "".join(f"{'0' * 64 if n == bad.get('checksum') else hashlib.sha256(c).hexdigest()}  {n}\n" for n, c in sums.items()
                       if n not in (bad.get("unlisted") or ())) + bad.get("manifest", "")
    parts = {"version": ver, "manifest": manifest, **({"manifest.sig": "c2lnbmF0dXJl"} if signed else {}), "header.tar" + suffix: header,
             **{f"data/{i:04}.tar{suffix}": pack(tar(members(p["files"]))) for i, p in enumerate(payloads)}}
    if version < 2:
        del parts["manifest"]
    out = tar(members({**parts, **(bad.get("add") or {})}, bad.get("order")))
    return out[:len(out) - bad.get("cut", 0)] + bad.get("append", "").encode()


class Run:
    def __init__(self, opts):
        self.base = opts.base.rstrip("/")
        self.internal = dict(p.split("=", 1) for p in opts.internal.split(",")) if "=" in opts.internal else opts.internal.rstrip("/")
        self.opts = opts
        self.http = requests.Session()
        self.http.verify = False
        self.not_built = set(filter(None, opts.areas_not_built.split(",")))
        self.vars, self.lost, self.tokens = {}, set(), {}
        self.tokens["user"] = self.login(opts.user, opts.password)

    def login(self, user, password):
        r = self.http.post(self.base + "/api/management/v1/useradm/auth/login", auth=(user, password), timeout=30)
        if r.status_code != 200:
            raise SystemExit(f"login: {r.status_code} {r.text[:200]}")
        return r.text.strip()

    def fresh(self, doc):
        self.vars = {"rand": secrets.token_hex(4), "workflows_url": (
            self.internal.get("workflows", "") if isinstance(self.internal, dict) else self.internal)}
        self.vars.update(self.fill(doc.get("vars") or {}))
        self.lost = set()  # variables and callers that a step left out would have made
        self.devices = {n: {"identity": self.fill(d.get("identity") or {"mac": "${rand}-" + n}), "key": Key(d.get("key", "ed25519"))}
                        for n, d in (doc.get("devices") or {}).items()}
        for n, d in self.devices.items():
            self.vars[n + ".pubkey"], self.vars[n + ".identity"] = d["key"].pub, json.dumps(d["identity"])
        for n, a in (doc.get("artifacts") or {}).items():
            self.vars["artifact:" + n] = artifact(**self.fill(a))
            self.vars[n + ".size"] = len(self.vars["artifact:" + n])

    def fill(self, node):
        if isinstance(node, dict):
            return {self.fill(k): self.fill(v) for k, v in node.items()}
        if isinstance(node, list):
            return [self.fill(v) for v in node]
        if isinstance(node, str):
            whole = re.fullmatch(r"\$\{([^}]+)\}", node)
            if whole:
                return self.vars[whole.group(1)]
            return re.sub(r"\$\{([^}]+)\}", lambda m: str(self.vars[m.group(1)]), node)
        return node

    def url(self, path, service=None):
        if path.startswith("http"):  # a link from an answer: same server, whatever host it names
            path = "/" + path.split("/", 3)[3]
        if service:  # an internal service without the /api/internal prefix
            return (self.internal[service] if isinstance(self.internal, dict) else self.internal) + path
        if path.startswith("/api/internal/"):
            if isinstance(self.internal, dict):
                return self.internal[path.split("/")[4]] + path
            return self.internal + path
        return self.base + path

    def send(self, step):
        headers = self.fill(dict(step.get("headers") or {}))
        who = step.get("as", "user")
        if who in self.tokens:
            headers.setdefault("Authorization", "Bearer " + self.tokens[who])
        body, files = None, None
        if "json" in step:
            body = json.dumps(self.fill(step["json"])).encode()
            headers.setdefault("Content-Type", "application/json")
        elif "text" in step:
            body = self.fill(step["text"]).encode()
        elif "content" in step:  # bytes, such as ${artifact:NAME}
            body = self.fill(step["content"])
        elif "base64" in step:
            body = base64.b64decode(step["base64"])
        elif "repeat" in step:  # a large body without a large file
            body = step["repeat"]["text"].encode() * step["repeat"]["times"]
        elif "form" in step:
            body = self.fill(step["form"])
        elif "multipart" in step:
            files = []
            for part in step["multipart"]:
                value = self.fill(part["value"])
                value = value if isinstance(value, bytes) else str(value).encode()
                files.append((part["name"], (part.get("filename"), value) if part.get("filename") or "type" not in part
                              else (None, value, part["type"])))
        if "sign" in step:
            headers["X-MEN-Signature"] = self.devices[step["sign"]]["key"].sign(body or b"")
        auth = tuple(self.fill(step["basic"])) if "basic" in step else None
        url = self.url(self.fill(step["path"]), step.get("base"))
        return self.http.request(step.get("method", "GET"), url, params=self.fill(step.get("query")), headers=headers, data=body, files=files,
                                 auth=auth, timeout=60, allow_redirects=False)

    def auth(self, name):
        d = self.devices[name]
        body = json.dumps({"id_data": json.dumps(d["identity"]), "pubkey": d["key"].pub}).encode()
        return self.http.post(self.base + "/api/devices/v1/authentication/auth_requests", data=body, timeout=30,
                              headers={"Content-Type": "application/json", "X-MEN-Signature": d["key"].sign(body)})

    def pending(self, name):
        """A device that has sent an auth request: its ids in NAME.id and NAME.auth."""
        self.auth(name)
        d, page = self.devices[name], 1
        me = {"Authorization": "Bearer " + self.tokens["user"]}
        while name + ".id" not in self.vars:
            found = self.http.get(self.base + "/api/management/v2/devauth/devices", headers=me, timeout=30,
                                  params={"status": "pending", "per_page": 500, "page": page}).json()
            if not found:
                raise SystemExit(f"device {name} is not among the pending ones")
            for dev in found:
                if dev["identity_data"] == d["identity"]:
                    self.vars[name + ".id"], self.vars[name + ".auth"] = dev["id"], dev["auth_sets"][0]["id"]
            page += 1

    def accepted(self, name):
        """A device that a user has accepted: leaves its token under its name."""
        self.pending(name)
        me = {"Authorization": "Bearer " + self.tokens["user"]}
        r = self.http.put(self.base + f"/api/management/v2/devauth/devices/{self.vars[name + '.id']}/auth/{self.vars[name + '.auth']}/status",
                          json={"status": "accepted"}, headers=me, timeout=30)
        r.raise_for_status()
        self.token(name)

    def token(self, name):
        r = self.auth(name)
        r.raise_for_status()
        self.tokens[name] = r.text

    def left_out(self, step):
        """Whether a step cannot run yet: its area is not built, or it needs what such a step makes."""
        setup = next((step[k] for k in ("pending", "accepted", "token_of") if k in step), None)
        used = set(re.findall(r"\$\{([^}]+)\}", json.dumps({k: v for k, v in step.items() if k != "name"}, default=str)))
        used.add(setup or step.get("as", "user"))
        makes = {setup, f"{setup}.id", f"{setup}.auth"} if setup else {*(step.get("save") or ()), *([step["token"]] if "token" in step else ())}
        out = ("auth" if setup else area_of(step)) in self.not_built or bool(used & (self.lost - makes if setup else self.lost))
        self.lost = self.lost | makes if out else self.lost - makes
        return out

    # what an answer is, as data

    def observe(self, r):
        out = {"status": r.status_code}
        heads = {h: r.headers[h] for h in HEADERS if h in r.headers}
        if heads:
            out["headers"] = heads
        if r.content:
            try:
                out["json"] = r.json()
            except ValueError:
                try:
                    out["text"] = r.content.decode()
                except UnicodeDecodeError:
                    out["bytes"] = {"length": len(r.content), "sha256": hashlib.sha256(r.content).hexdigest()}
        return out

    def generalise(self, node, key=""):
        if isinstance(node, dict):
            return {self.generalise(k, "$key"): self.generalise(v, k) for k, v in node.items()}
        if isinstance(node, list):
            return [self.generalise(v) for v in node]
        if isinstance(node, str):
            if key == "request_id":
                return "$any"
            for name, value in sorted(self.vars.items(), key=lambda p: -len(str(p[1]))):
                if isinstance(value, str) and len(value) > 3 and value in node:
                    node = node.replace(value, "${" + name + "}")
            for kind, pattern in KINDS.items():
                if key != "$key" and "${" not in node and pattern.match(node):
                    return kind
        return node

    def differ(self, want, got, at=""):
        if isinstance(want, str) and want.startswith("$") and not want.startswith("${"):
            if want in KINDS:
                return [] if isinstance(got, str) and KINDS[want].match(got) else [f"{at}: {got!r} is no {want}"]
            ok = {"$any": True, "$str": isinstance(got, str), "$int": isinstance(got, int) and not isinstance(got, bool),
                  "$absent": got is None, "$list": isinstance(got, list), "$object": isinstance(got, dict)}
            if want in ok:
                return [] if ok[want] else [f"{at}: {got!r} is no {want}"]
            if want.startswith("$re "):
                return [] if re.search(want[4:], str(got), re.S) else [f"{at}: {got!r} does not match {want[4:]}"]
        if isinstance(want, dict) and "$contains" in want:
            if not isinstance(got, list):
                return [f"{at}: {got!r} is no list"]
            return [f"{at}: none is like {w!r}" for w in want["$contains"] if not any(not self.differ(w, g) for g in got)]
        if isinstance(want, dict) and "$unordered" in want:
            if not isinstance(got, list) or len(got) != len(want["$unordered"]):
                return [f"{at}: {got!r} is not {len(want['$unordered'])} items"]
            return [f"{at}: none is like {w!r}" for w in want["$unordered"] if not any(not self.differ(w, g) for g in got)]
        if isinstance(want, dict):
            if not isinstance(got, dict):
                return [f"{at}: {got!r}, not {want!r}"]
            open_ended = want.get("$more") is True
            out = []
            for k, v in want.items():
                if k == "$more":
                    continue
                if k not in got and v != "$absent":
                    out.append(f"{at}.{k}: missing")
                elif v == "$absent":
                    out += [f"{at}.{k}: should be absent"] if k in got else []
                else:
                    out += self.differ(v, got[k], f"{at}.{k}")
            return out if open_ended else out + [f"{at}.{k}: unexpected ({got[k]!r})" for k in got if k not in want]
        if isinstance(want, list):
            if not isinstance(got, list) or len(got) != len(want):
                return [f"{at}: {json.dumps(got)[:300]}, not {json.dumps(want)[:300]}"]
            return [d for i, (w, g) in enumerate(zip(want, got)) for d in self.differ(w, g, f"{at}[{i}]")]
        return [] if want == got and type(want) is type(got) else [f"{at}: {got!r}, not {want!r}"]

    def compare(self, expect, r):
        got, out = self.observe(r), []
        for k, v in expect.items():
            if k == "headers":
                heads = {h.lower(): w for h, w in r.headers.items()}
                for h, w in v.items():
                    out += self.differ(self.fill(w), heads.get(h.lower()), f"header {h}")
            elif k == "jwt":  # {header: .., claims: ..} of the token that the body is
                try:
                    parts = [json.loads(base64.urlsafe_b64decode(p + "==")) for p in r.text.strip().split(".")[:2]]
                    out += self.differ(self.fill(v), dict(zip(("header", "claims"), parts)), k)
                except ValueError:
                    out.append(f"body: {r.text[:200]!r} is no token")
            elif k == "body":  # any: whatever it is
                continue
            elif k == "content":  # the exact bytes, or a part of them
                want = self.fill(v["of"])[v.get("from", 0):v.get("to")]
                out += [] if r.content == want else [f"content: {len(r.content)} bytes, not the {len(want)} expected"]
            elif k == "empty":
                out += [] if not r.content else [f"body: {r.text[:200]!r}, not empty"]
            else:
                out += self.differ(self.fill(v), got.get(k), k)
        if not any(k in expect for k in ("json", "text", "bytes", "content", "jwt", "empty")) and r.content and expect.get("body") != "any":
            out.append(f"body: {r.text[:200]!r}, not empty")
        return out

    def save(self, step, r):
        for name, path in (step.get("save") or {}).items():
            if path.startswith("header "):
                value = r.headers.get(path[7:])
                if value and path[7:].lower() == "location":
                    value = value.rsplit("/", 1)[-1]
            elif path == "text":
                value = r.text
            elif path == "$":
                value = r.json()
            else:
                value = r.json()
                for part in path.split("."):
                    if isinstance(value, list):  # an index, or field=value for the first such item
                        k, _, x = part.partition("=")
                        value = next(v for v in value if str(v.get(k)) == self.fill(x)) if "=" in part else value[int(part)]
                    else:
                        value = value[part]
            self.vars[name] = value
        if "token" in step:  # the body of this answer is the token of that caller
            self.tokens[step["token"]] = r.text.strip()

    def play(self, path, record):
        doc = yaml.safe_load(open(path, encoding="utf-8"))
        if set(doc.get("needs") or ()) - set(self.opts.have.split(",")):
            print(f"left out: {path} needs {', '.join(doc['needs'])}")
            return 0, 0, len(doc["steps"])
        self.fresh(doc)
        good, bad, skipped, stopped = 0, 0, 0, False
        for i, step in enumerate(doc["steps"]):
            if self.left_out(step) or stopped and not step.get("always"):
                skipped += 1
                continue
            time.sleep(step.get("wait", 0))
            setup = next((k for k in ("pending", "accepted", "token_of") if k in step), None)
            if setup:
                try:
                    {"pending": self.pending, "accepted": self.accepted, "token_of": self.token}[setup](step[setup])
                    good += 1
                except (requests.RequestException, ValueError, SystemExit) as err:
                    print(f"FAIL {path} #{i + 1} {setup} {step[setup]}: {err}")
                    bad, stopped = bad + 1, True
                continue
            title = f"{path} #{i + 1} {step.get('name', '')} {step.get('method', 'GET')} {step['path']}"
            try:
                for _ in range(step.get("tries", 1)):  # for effects that arrive later
                    r = self.send(step)
                    if "expect" not in step or not self.compare(step["expect"], r):
                        break
                    time.sleep(0.2)
                wrong = [] if record and not step.get("keep") else self.compare(step["expect"], r)
            except (KeyError, requests.RequestException) as err:  # a variable that an earlier step did not give; no answer
                print(f"FAIL {title}: {err!r}")
                bad, stopped = bad + 1, not self.opts.keep_going
                continue
            if record and not step.get("keep"):
                step["expect"] = self.generalise(self.observe(r))  # before saving: a replay compares before it saves
                self.save(step, r)
                good += 1
                continue
            if wrong and step.get("rec") and self.opts.reference:  # we ask for something else than the reference does
                wrong = []
            if wrong:
                bad += 1
                print(f"FAIL {title}\n  " + "\n  ".join(wrong[:8]))
                if not self.opts.keep_going:
                    stopped = True  # what undoes a change of global state still runs
                    continue
            try:
                self.save(step, r)
                good += not wrong
            except Exception as err:
                print(f"FAIL {title}: cannot save: {err}")
                bad, stopped = bad + (not wrong), True
        if record:
            yaml.SafeDumper.ignore_aliases = lambda *_: True  # written out, no anchors
            with open(path, "w", encoding="utf-8") as f:
                yaml.safe_dump(doc, f, sort_keys=False, allow_unicode=True, width=140)
        return good, bad, skipped


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=("replay", "record"))
    p.add_argument("--base", required=True)
    p.add_argument("--internal", required=True)
    p.add_argument("--user", required=True)
    p.add_argument("--password", required=True)
    p.add_argument("--keep-going", action="store_true")
    p.add_argument("--reference", action="store_true", help="steps marked `rec` may fail: the reference answers otherwise")
    p.add_argument("--have", default="", help="comma-separated features that files with `needs` ask for; other such files are left out")
    p.add_argument("--areas-not-built", default="", help="comma-separated areas; steps that belong to one, or use what such a step makes, are left out")
    p.add_argument("files", nargs="+")
    opts = p.parse_args()
    requests.packages.urllib3.disable_warnings()
    unknown = set(filter(None, opts.areas_not_built.split(","))) - {*AREAS.values(), "artifacts", "deployments", "workflows", "users-more"}
    if unknown:
        p.error(f"no such area: {', '.join(sorted(unknown))}")
    run, total = Run(opts), [0, 0, 0]
    for path in opts.files:
        total = [a + b for a, b in zip(total, run.play(path, opts.what == "record"))]
    good, bad, skipped = total
    print(f"{good} passed, {bad} failed, {skipped} skipped")
    sys.exit(1 if bad else 0)


main()
