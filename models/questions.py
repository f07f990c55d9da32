# SPDX-License-Identifier: MIT
"""Training questions from topics/, wordings/ and forms/, kept apart from heldout/, and the small distortions that users make."""
import collections
import glob
import itertools
import json
import os
import re

FOLDER = os.path.dirname(os.path.abspath(__file__))
OPENINGS = ("Hello, ", "Hi, ", "hi ", "Hey, ", "Please tell me: ", "Quick question: ", "I have a question. ", "Sorry, ",
            "I am new here. ", "Good morning. ", "One thing: ", "Can you help? ", "I would like to know: ", "ok, ", "so ",
            "I was wondering: ", "Do you happen to know: ", "Could somebody tell me: ", "My question is this: ", "Tell me, ",
            "Not sure where to look. ", "I run it on a server at home. ", "We use it at work. ", "My colleague asked me this. ",
            "I read the manual already. ", "It is my first day with it. ", "Our team has a new machine. ", "Everything else works. ",
            "I set it up yesterday. ", "Maybe this is a stupid question. ", "There is something I do not understand. ",
            "I have been looking for a while. ", "This came up in a meeting. ", "I need it for a report. ", "It worked before. ")
CLOSINGS = (" please", " Thanks!", " thank you", " thx", ", please?", " I am a beginner.", " Short answer please.", " ??",
            " I could not find it in the manual.", " Any idea?")
CONTEXTS = (
    "[I|We|My colleagues|Our team|Some students|Two friends of mine] [run|installed|have|use|test|set up|bought] [it|this|the program|a small"
    " model|two models|a few machines] [on an old server|in a virtual machine|on a laptop|in the office|at home|for a customer|in the lab|].",
    "[Yesterday|Last week|This morning|A while ago|On Friday] [everything was fine|I started with it|I read about it|somebody told me"
    " of it|we had a meeting|it was different|I took it over from a colleague].",
    "[It is late|I am in a hurry|The manual is long|I searched the web|My boss is waiting|I am no expert|I may have missed it][ and I have one"
    " question|, sorry| and need help|].",
    "[This is urgent|This is not urgent|Here is another one|Something else|Next topic|Thanks for the last answer|Now a different thing].",
    "[I have tried a lot|I looked everywhere|Nobody here knows|The others do not know either|I am writing some notes|I prepare a talk].")
FRAMES = (
    "[I wonder|I was wondering|I am curious|I would be glad to know|my boss asks|a user asked me|someone in the team wants to know|people keep"
    " asking|we are not sure|I have no idea|could you tell me|I forgot|I cannot remember|I try to find out|it is unclear to me|the question came"
    " up|help me to understand|we had an argument about this|what I want to know is|a customer would like to hear|let me ask][,|:| -|] {text}",
    "{text}[, that is what I want to know|, does anybody know|, I wonder|, and I have no idea|, can you tell|, that is my question|, right]")
REFUSAL = "I do not know. I only answer questions about bitnetd and ternary inference."
DIRECT = frozenset("what what's which how when where who why is are does do can explain describe define tell name list show"
                   .split())
KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
FILLERS = frozenset("a an the do does did is are was be to of for in on at it its i me my you your this that there please"
                    " can could would will shall should have has must may so".split())
SYNONYMS = (("configuration", "config", "settings"), ("error", "mistake", "fault", "problem"), ("show", "display", "print"),
            ("show", "tell"), ("stop", "end", "abort", "halt"), ("start", "run", "launch"), ("quick", "fast", "rapid"),
            ("job", "task", "request"), ("jobs", "tasks", "requests"), ("daemon", "server", "service"), ("wrong", "bad", "incorrect"),
            ("licence", "license"), ("explain", "describe", "introduce"), ("list", "name", "enumerate"), ("use", "take", "choose"),
            ("change", "edit", "modify", "alter"), ("command", "order", "call"), ("gpu", "graphics card"), ("cpu", "processor"),
            ("machine", "computer", "server", "box"), ("disk", "storage"), ("need", "require"), ("needs", "requires"),
            ("file", "document"), ("how do i", "how can i", "how to", "how does one"), ("what is", "what's", "whats"),
            ("which", "what"), ("large", "big"), ("happens", "occurs"), ("broken", "invalid", "faulty"), ("install", "set up"),
            ("energy", "power", "electricity"), ("tell me about", "describe", "say something about"), ("see", "find", "look at"),
            ("question", "prompt"), ("answer", "reply", "response"), ("kind of", "sort of", "type of"), ("purpose", "point", "goal"),
            ("profile", "preset"), ("store", "save", "keep"), ("stored", "saved", "kept"), ("cached", "stored"),
            ("delete", "remove", "erase"), ("get", "receive", "obtain"), ("make", "produce", "create"), ("why does", "how come that"),
            ("largest", "biggest", "maximum"), ("client", "program", "user"), ("finished", "done", "completed", "ready"),
            ("crash", "failure", "breakdown"), ("damaged", "corrupt", "corrupted", "broken"), ("refused", "rejected", "denied"),
            ("begin", "start"), ("directory", "folder"), ("send", "submit", "pass"), ("limit", "bound", "cap", "maximum"),
            ("default", "standard"), ("key", "setting", "option", "parameter"), ("set", "configure", "adjust"), ("cores", "cpus"),
            ("fresh", "new"), ("old", "stale"), ("twice", "two times"), ("again", "once more", "another time"),
            ("allowed", "permitted"), ("check", "verify", "test"), ("watch", "observe", "follow", "monitor"),
            ("at the same time", "simultaneously", "at once"), ("reworded", "paraphrased", "rephrased"), ("similar", "alike"),
            ("identical", "equal"), ("terminal", "shell", "console", "command line"), ("phases", "stages", "steps"),
            ("result", "outcome", "output"), ("lost", "gone"), ("works", "functions"), ("memory", "ram"), ("speed", "performance"),
            ("mean", "signify", "stand for"), ("means", "stands for"), ("many", "lots of"), ("small", "little", "tiny"),
            ("when", "at what time"), ("where", "in which place"), ("allow", "permit", "let"), ("full", "exhausted"),
            ("i want to", "i would like to", "i need to", "i wish to"), ("can i", "may i", "could i", "am i able to"),
            ("do i have to", "must i", "do i need to"), ("is there", "do you have", "does it have"), ("yaml", "configuration"))
COMMANDS = ("bitnetctl", "quickstart")
ADVERBS = ("actually", "really", "basically", "exactly", "again", "now", "just", "quickly", "in detail", "briefly", "maybe",
           "then", "today", "here", "in practice")

Question = collections.namedtuple("Question", "text topic meaning")
Question.__doc__ = """One wording; topic is None out of scope; wordings of equal meaning may share an answer."""


def load(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return json.load(file)


def load_folder(name):
    """{file name without its ending: content} of every JSON file of a folder, in order of name."""
    paths = sorted(glob.glob(os.path.join(FOLDER, name, "*.json")))
    return {os.path.basename(p)[:-len(".json")]: load(p) for p in paths}


def load_wordings():
    """All of wordings/ as one: `topics` ({id: `wordings` and `use`}), `patterns`, `out_of_scope` and `near_misses`."""
    whole = {"topics": {}}
    for part in load_folder("wordings").values():
        whole["topics"].update(part.pop("topics", {}))
        whole.update(part)
    return whole


def expand(form):
    """Every text of a form: one of each [a|b|c] is said."""
    parts = [p.split("|") for p in re.split(r"[\[\]]", form)]
    parts = [["|".join(p)] if i % 2 == 0 else p for i, p in enumerate(parts)]
    return [" ".join("".join(chosen).split()).replace(" ,", ",").replace(" .", ".") for chosen in itertools.product(*parts)]


def load_forms():
    """{topic id: forms} of forms/."""
    return {topic: forms for part in load_folder("forms").values() for topic, forms in part["forms"].items()}


def load_validation():
    """A set like those of load_heldout(), to choose between training runs with."""
    return load("validation.json")


def load_topics():
    """What the model knows (topics/) with how it is asked in training (wordings/, forms/): each topic has `id`, `answer`,
    `facts`, `near`, `special`, `wordings` (none of them held out), `forms` (per form its texts, likewise) and `use`; beside `topics`
    stand `patterns`, `out_of_scope` and `refusal`."""
    data = load_wordings()
    secret, forms = gists_kept_back(), load_forms()
    topics = [dict(t) for part in load_folder("topics").values() for t in part["topics"]]
    for topic in topics:
        asked = data["topics"].get(topic["id"], {})
        topic["special"] = topic.get("special", False)
        topic["use"] = asked.get("use", [])
        topic["wordings"] = [w for w in asked.get("wordings", [])
                             if gist(w) not in secret and (is_direct(w) or not topic["special"])]
        said = [[w for w in expand(form) if gist(w) not in secret and (is_direct(w) or not topic["special"])]
                for form in forms.get(topic["id"], [])]
        topic["forms"] = [texts for texts in said if texts]
    return {**data, "topics": topics, "refusal": REFUSAL}


def load_heldout():
    """The sets of held-out questions by name, each with `topics` ({id: texts}) and `out_of_scope` (texts). The third also
    has `special_kinds`: the kind of each question of a special topic, in their order."""
    parts = load_folder("heldout")
    parts.pop("pairs")
    return parts


def load_pairs():
    """Held-out pairs for the embedding model: `kind`, `a`, `b`; kind `same` means the same, the others do not."""
    return load("heldout/pairs.json")["pairs"]


def plain(text):
    """A wording without case, punctuation and spacing: two wordings that agree in it are the same question."""
    return " ".join(re.findall(r"[a-z0-9_+./-]*[a-z0-9_]", text.lower())) or text.strip()


def gist(text):
    """The words that carry a question, in no order: two wordings that agree in them are nearly the same."""
    return " ".join(sorted({w for w in plain(text).split(" ") if w not in FILLERS}))


def is_direct(text):
    """Whether a wording is a whole question or request, straight out and in one sentence: the only kind that special
    topics have in training. What they are asked in evaluation (slips, detours, two sentences, single words) is not."""
    words = re.findall(r"[a-z']+", text.lower())
    return len(text.split()) >= 3 and words[0] in DIRECT and not re.search(r"[.?!,:;] ", text)


def topic_wordings(data, topic):
    """All wordings of a topic: its own, those of its forms and the patterns filled with its nouns; of a special one the direct
    ones."""
    filled = [pattern.replace("{x}", noun) for use in topic["use"]
              for noun in use["x"] for pattern in data["patterns"][use["pattern"]]]
    return [w for w in dict.fromkeys(topic["wordings"] + sum(topic["forms"], []) + filled) if is_direct(w) or not topic["special"]]


def _fill(pattern, slots):
    """(text, values) for every filling of a pattern."""
    names = re.findall(r"\{(\w+)\}", pattern)
    for values in itertools.product(*(slots[n] for n in names)):
        text = pattern
        for name, value in zip(names, values):
            text = text.replace("{%s}" % name, value)
        yield text, values


def heldout_texts(heldout):
    """Every held-out question of these sets."""
    return [w for part in heldout.values() for ws in part["topics"].values() for w in ws] + \
           [w for part in heldout.values() for w in part["out_of_scope"]]


def gists_kept_back():
    """The gists of everything that is held out or for validation."""
    pairs = [w for pair in load_pairs() for w in (pair["a"], pair["b"])]
    return {gist(w) for w in heldout_texts({**load_heldout(), "validation": load_validation()}) + pairs}


def training_questions(data):
    """-> (in-scope questions per topic id, out-of-scope questions); none of them is, even nearly, a held-out one. A topic
    that has no wordings yet is left out."""
    secret = gists_kept_back()
    inside = {t["id"]: [Question(w, t["id"], t["id"]) for w in topic_wordings(data, t) if gist(w) not in secret]
              for t in data["topics"] if t["wordings"] or t["forms"]}
    outside = [Question(w, None, "o:" + plain(w)) for w in data["out_of_scope"]["wordings"]]
    for number, patterns in enumerate(data["out_of_scope"]["patterns"]):
        for pattern in patterns:
            outside += [Question(text, None, "p%d:%s" % (number, "|".join(values)))
                        for text, values in _fill(pattern, data["out_of_scope"]["slots"])]
    return inside, [q for q in outside if gist(q.text) not in secret]


def typo(text, random):
    """One slip of the finger in one word; names with digits, dots and underscores keep their spelling."""
    words = text.split(" ")
    able = [i for i, w in enumerate(words) if len(w) > 3 and w.strip("?.,!").isalpha() and not w.isupper()]
    if not able:
        return text
    at = random.choice(able)
    word = words[at]
    i = random.randrange(1, len(word) - 1)
    kind = random.randrange(4)
    if kind == 0:
        word = word[:i] + word[i + 1] + word[i] + word[i + 2:]
    elif kind == 1:
        word = word[:i] + word[i + 1:]
    elif kind == 2:
        word = word[:i] + word[i] + word[i:]
    else:
        row = next((r for r in KEYBOARD if word[i].lower() in r), None)
        if row:
            j = row.index(word[i].lower())
            word = word[:i] + row[max(0, j - 1) if random.random() < 0.5 else min(len(row) - 1, j + 1)] + word[i + 1:]
    words[at] = word
    return " ".join(words)


def reword(text, random):
    """One word in other words; what quotes a command keeps its words."""
    if any(c in text for c in COMMANDS):
        return text
    padded = " %s " % text
    able = [(old, group) for group in SYNONYMS for old in group
            if re.search(r"[ ]%s[ ?.,!]" % re.escape(old), padded, re.IGNORECASE)]
    if not able:
        return text
    old, group = random.choice(able)
    new = random.choice([w for w in group if w != old])
    return re.sub(r"(?<= )%s(?=[ ?.,!])" % re.escape(old), new, padded, 1, re.IGNORECASE).strip()


def terse(text):
    """Only the words that carry the question."""
    kept = [w for w in text.rstrip("?.! ").split(" ") if w.lower() not in FILLERS]
    return " ".join(kept) if len(kept) > 1 else text


def thinned(text, random):
    """Some words left out, whichever they are: a question must be known by any part of it."""
    share = random.uniform(0.1, 0.5)
    kept = [w for w in text.split(" ") if random.random() >= share]
    return " ".join(kept) if len(kept) > 1 else text


def padded_out(text, random):
    """An adverb somewhere after the first word: it changes nothing."""
    words = text.split(" ")
    words.insert(random.randrange(1, len(words) + 1) if len(words) < 3 else random.randrange(1, len(words)),
                 random.choice(ADVERBS))
    return " ".join(words)


def said(form, random):
    """One text of a form, drawn."""
    return re.sub(r"\[([^\]]*)\]", lambda found: random.choice(found[1].split("|")), form)


def framed(text, random):
    """Told that somebody asks it, or why."""
    if random.random() < 0.4:
        bare = text.rstrip("?.! ") or text
        return said(random.choice(FRAMES), random).replace("{text}", bare[0].lower() + bare[1:] if bare[1:2].islower() else bare)
    context = said(random.choice(CONTEXTS), random)
    end = "" if text[-1] in ".?!" else random.choice("..?")
    return context + " " + text if random.random() < 0.7 else text + end + " " + context


def recase(text, random):
    """Another case and end mark: neither makes another kind of question."""
    if random.random() < 0.30:
        text = text.rstrip("?.! ") or text
    return text.lower() if random.random() < 0.3 else text


def distort(text, random, special=False):
    """The same question as another user would type it; that of a special topic stays direct."""
    if special:
        return recase(text, random)
    for chance in (0.4, 0.3, 0.2):
        if random.random() < chance:
            text = reword(text, random)
    if random.random() < 0.12:
        text = terse(text)
    if random.random() < 0.12 and " " in text and not any(c in text for c in COMMANDS):
        text = padded_out(text, random)
    if random.random() < 0.15:
        text = typo(text, random)
    if random.random() < 0.05:
        text = typo(text, random)
    if random.random() < 0.30:
        text = text.rstrip("?.! ") or text
    if random.random() < 0.15:
        text = framed(text, random)
    elif random.random() < 0.15:
        text = random.choice(OPENINGS) + (text[0].lower() + text[1:] if random.random() < 0.5 else text)
    if random.random() < 0.10:
        text = text + random.choice(CLOSINGS)
    case = random.random()
    if case < 0.25:
        return text.lower()
    if case < 0.28:
        return text.upper()
    if case < 0.45:
        return text[0].upper() + text[1:]
    return text
