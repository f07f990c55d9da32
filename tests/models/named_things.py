# SPDX-License-Identifier: MIT
"""Everything an answer may name, as the built programs and the source tree have it, and what an answer names wrongly."""
import json
import os
import pathlib
import re
import subprocess

PROGRAMS = {"bitnetctl": "BITNETCTL", "bitnet-model": "BITNET_MODEL", "bitnetd": "BITNETD"}
# What follows a program's name in a sentence without being a command of it.
VERBS = frozenset(["exits", "finds", "print", "with"])
FILE_ENDINGS = ("yaml", "gguf", "service", "md", "json", "jsonl")
FOLDERS = ("", "conf", "models", "systemd", "docs")
OTHERS_COMMANDS = re.compile(r"\busermod -\w+")
PLACEHOLDERS = frozenset(["profiles/NAME.yaml", "IN.jsonl", "OUT.jsonl"])


def printed(program, *arguments):
    """What a program prints for such arguments; a status other than 0 is a failed test."""
    return subprocess.run([program, *arguments], check=True, stdout=subprocess.PIPE, timeout=60).stdout.decode()


def subcommands(text):
    listed = re.split(r"^Subcommands:$", text, flags=re.MULTILINE)
    return re.findall(r"^  ([a-z][a-z-]*) ", listed[1], re.MULTILINE) if len(listed) > 1 else []


def options(text):
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))


class Tree:
    """The programs and the source tree."""

    def __init__(self, variables=os.environ):
        self.source = variables["BITNETD_SOURCE"]
        paths = {name: variables[variable] for name, variable in PROGRAMS.items()}
        self.help = {(name,): printed(path, "--help") for name, path in paths.items()}
        for name in ("bitnetctl", "bitnet-model"):
            self._read_help(paths[name], (name,))
        rows = json.loads(printed(paths["bitnetctl"], "validate", "--schema", "--json"))
        self.keys = {row["path"]: row for row in rows}
        self.binaries = b"".join(pathlib.Path(path).read_bytes() for path in paths.values())
        with open(os.path.join(self.source, "docs", "protocol.md"), encoding="utf-8") as file:
            self.protocol = file.read()

    def _read_help(self, path, words):
        for name in subcommands(self.help[words]):
            command = words + (name,)
            self.help[command] = printed(path, *command[1:], "--help")
            self._read_help(path, command)

    def has_file(self, name):
        return any(os.path.exists(os.path.join(self.source, folder, name)) for folder in FOLDERS)

    def in_binaries(self, word):
        return word.encode() in self.binaries

    def exit_statuses(self, program):
        """{number: words} as the program's own help tells."""
        text = " ".join(self.help[(program,)].split())
        said = re.search(r"Exit status: (.*?)\.( |$)", text).group(1)
        return dict(re.findall(r"(\d) ([^,]+)", said))


def wrong_names(answer, tree):
    """Yields what an answer names that is not there."""
    for check in (commands, command_options, error_names, configuration_keys, defaults, choices, profiles, files,
                  variables, exit_statuses, protocol_words):
        for what in check(answer, tree):
            yield "%s: %s" % (check.__name__, what)


def named_commands(answer, tree):
    """The longest command that stands behind each mention of a program."""
    for program, rest in re.findall(r"\b(bitnetctl|bitnet-model|bitnetd)((?: [a-z][a-z-]*)+)", answer):
        words = (program,)
        for word in rest.split():
            if words + (word,) not in tree.help:
                break
            words += (word,)
        yield words, rest.split()[0]


def commands(answer, tree):
    for words, following in named_commands(answer, tree):
        if len(words) == 1 and following not in VERBS and words[0] != "bitnetd":
            yield "%s has no command %s" % (words[0], following)
    for program, action, name in re.findall(r"\b(bitnetctl) (profile) (\w+)", answer):
        if name not in re.search(r"\{([a-z,]+)\}", tree.help[(program, action)]).group(1).split(","):
            yield "%s %s has no action %s" % (program, action, name)


def command_options(answer, tree):
    """An option belongs to a command that the answer names, or to bitnetctl where it names none."""
    used = re.findall(r"(?<![\w-])--?[a-z][a-z-]*", OTHERS_COMMANDS.sub("", answer))
    named = [words for words, _ in named_commands(answer, tree)]
    named += [("bitnetctl", name) for name in re.findall(r"\b(submit|reload)\b", answer)]
    named += [(program,) for program in PROGRAMS if re.search(r"\b%s\b" % program, answer)]
    known = set().union(*(options(tree.help[w[:n]]) for w in named or [("bitnetctl",)] for n in range(1, len(w) + 1)))
    yield from ("no command named here has %s" % o for o in used if o not in known)


def error_names(answer, tree):
    table = re.findall(r"^\| \d+ \| (E_[A-Z_]+) \|", tree.protocol, re.MULTILINE)
    for name in re.findall(r"\bE_[A-Z_]+", answer):
        if name not in table or not tree.in_binaries(name):
            yield "there is no error %s" % name


def named_keys(answer):
    words = re.findall(r"(?<![\w/$.])[a-z]+(?:\.[A-Za-z_]+)+\b(?!-[A-Z])", answer)
    keys = [w for w in words if w.rsplit(".", 1)[1] not in FILE_ENDINGS]
    return [k.replace("CLASS", c) for k in keys
            for c in (("interactive", "normal", "batch", "background") if "CLASS" in k else ("",))]


def configuration_keys(answer, tree):
    sections = {p for key in tree.keys for p in (key.rsplit(".", 1)[0], key.split("[]")[0])}
    for key in named_keys(answer):
        if key not in tree.keys and key not in sections:
            yield "there is no key %s" % key
    known = set(re.findall(r"\w+", tree.protocol + " " + " ".join(tree.keys) + " avx_vnni avx512_vnni"))
    yield from ("neither protocol nor schema has %s" % w for w in re.findall(r"(?<![.\w])[a-z]+(?:_[a-z]+)+\b", answer)
                if w not in known)


def defaults(answer, tree):
    said = re.findall(r"[Dd]efault is (\w+)", answer)
    rows = [tree.keys[k] for k in named_keys(answer) if k in tree.keys]
    for value in said:
        if not rows or str(rows[0].get("default")).strip('"') != value:
            yield "the default is not %s" % value


def choices(answer, tree):
    """An answer that begins with a key of few words names them all."""
    for key in named_keys(answer)[:1]:
        row = tree.keys.get(key)
        if row and row["type"] == "word":
            said = set(re.findall(r"\w+", answer.lower()))
            yield from ("%s may also be %s" % (key, w) for w in row["bounds"].split(", ") if w not in said)


def profiles(answer, tree):
    found = {n[:-len(".yaml")] for n in os.listdir(os.path.join(tree.source, "conf", "profiles"))}
    named = re.findall(r"\b[Tt]he (\w+) profile", answer)
    listed = re.search(r"four profiles for daily use: (.*)\.", answer)
    named += re.split(r", | and ", listed.group(1)) if listed else []
    yield from ("there is no profile %s" % n for n in named if n not in found)


def files(answer, tree):
    endings = "|".join(FILE_ENDINGS)
    for name in re.findall(r"\./[\w-]+|[\w/-]+\.(?:%s)\b" % endings, answer):
        if name not in PLACEHOLDERS and not tree.has_file(name):
            yield "there is no file %s" % name
    for name in re.findall(r"[\w.]+\.(\w+-)TIME\b", answer):
        if not tree.in_binaries(name):
            yield "no program makes %sTIME" % name


def variables(answer, tree):
    for name in re.findall(r"\$([A-Z_]+)", answer):
        if not tree.in_binaries(name):
            yield "no program reads $%s" % name


def exit_statuses(answer, tree):
    """An answer that lists exit statuses has all of them, in words that the help has, too."""
    for program, listed in re.findall(r"^(bitnetctl|bitnet-model|bitnetd) exits with (.*)\.$", answer):
        said, real = dict(re.findall(r"(\d) ([^,]+)", listed)), tree.exit_statuses(program)
        yield from ("%s: %s is not %r" % (program, number, said.get(number)) for number, words in real.items()
                    if not said.get(number) or not set(said[number].split()) & set(words.split()) - {"the", "no", "input"})
        yield from ("%s has no status %s" % (program, number) for number in said if number not in real)


def protocol_words(answer, tree):
    """Words in capitals and directives with hyphens stand in the protocol."""
    caps = re.findall(r"\b(?:HIT|MISS|COALESCED|BYPASS|REFUSED|[A-Z]{2}\d)\b", answer)
    quoted = re.findall(r"directive ([a-z-]+)", answer)
    yield from ("the protocol has no %s" % w for w in caps + quoted if not re.search("[`|, ]%s[`|,; ]" % w, tree.protocol))
    for states in re.findall(r"ends as (.*)\.", answer):
        final = re.search(r"running → (.*?)`", tree.protocol).group(1).split(" | ")
        yield from ("final states are %s" % final for _ in range(re.split(r", | or ", states) != final))
    for topics in re.findall(r"publishes four topics: (.*)\.", answer):
        events = tree.protocol.split("## Events")[1].split("\n## ")[0]
        real = re.findall(r"^\| `(\w+)` \|", events, re.MULTILINE)
        yield from ("topics are %s" % real for _ in range(re.split(r", | and ", topics) != real))
