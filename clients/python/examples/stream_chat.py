#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A conversation in the terminal; answers appear as they are made.

    stream_chat.py [--socket PATH] [--model NAME] [--system TEXT] [QUESTION]

With a QUESTION only that is answered. An empty line or Ctrl-D ends the conversation, Ctrl-C an answer.
"""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from bitnet_client import BitnetError, Client  # noqa: E402


def answer(client, messages, model):
    """Prints the answer to the conversation so far; returns its text."""
    text = ""
    with client.stream(messages=messages, model=model) as stream:
        try:
            for delta in stream:
                text += delta.text
                print(delta.text, end="", flush=True)
        except KeyboardInterrupt:
            print(" [stopped]", end="")
    print()
    if stream.result is not None and stream.result.cache.get("status") == "HIT":
        print("(from the %s cache)" % stream.result.cache.get("tier", ""), file=sys.stderr)
    return text


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("question", nargs="?")
    options.add_argument("--socket", help="endpoint or path of the daemon's front socket")
    options.add_argument("--model")
    options.add_argument("--system", help="what the model should know beforehand")
    given = options.parse_args()
    messages = [{"role": "system", "content": given.system}] if given.system else []
    with Client(given.socket) as client:
        question = given.question
        while True:
            if question is None:
                try:
                    question = input("> ")
                except EOFError:
                    return
            if not question.strip():
                return
            messages.append({"role": "user", "content": question})
            text = answer(client, messages, given.model)
            if given.question is not None:
                return
            messages.append({"role": "assistant", "content": text})
            question = None


if __name__ == "__main__":
    try:
        main()
    except BitnetError as error:
        sys.exit("stream_chat.py: %s" % error)
