#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The answers of models/topics/ name only what is there, and the data are fit for training and evaluation."""
import os
import random
import sys
import unittest

import named_things

sys.path.insert(0, os.path.join(os.environ["BITNETD_SOURCE"], "models"))
import check_data
import questions

# One wrong statement each, and the check that must find it.
WRONG = {
    "Run bitnetctl resume with the id of the job.": "commands",
    "bitnet-model quantize FILE makes a model ternary.": "commands",
    "Run bitnetctl profile drop NAME.": "commands",
    "Give submit the option --later: it prints the id.": "command_options",
    "bitnetctl ls lists the jobs. With --states it shows some.": "command_options",
    "bitnetd --test only checks the configuration.": "command_options",
    "E_FULL means that the queue is full.": "error_names",
    "limits.max_jobs is how many jobs may be open.": "configuration_keys",
    "classes.CLASS.share is the share of a class.": "configuration_keys",
    "Try again later, after retry_after_seconds.": "configuration_keys",
    "limits.drain_timeout is how long a stop waits. The default is 40s.": "defaults",
    "hardware.kv_type is the number type of keys and values: f16.": "choices",
    "The turbo profile is tuned for speed.": "profiles",
    "There are four profiles for daily use: latency, throughput, balanced and green.": "profiles",
    "Run ./faststart: it installs the packages.": "files",
    "By default it runs in shadow. conf/similar.yaml switches it on.": "files",
    "Jobs lie in $JOBS_DIRECTORY.": "variables",
    "bitnet-model exits with 0 success, 1 failure, 2 refused input, 3 wrong usage.": "exit_statuses",
    "bitnet-model exits with 0 success, 1 failure, 2 wrong usage.": "exit_statuses",
    "bitnet-model exits with 0 success, 1 failure, 2 wrong usage, 3 refused input, 4 late.": "exit_statuses",
    "A message has four frames: BN2, the type, an id and a body.": "protocol_words",
    "The directive no-keep keeps the answer out of the cache.": "protocol_words",
    "A job runs and ends as done, failed, cancelled or dead.": "protocol_words",
    "The events socket publishes four topics: job, metrics, config and warning.": "protocol_words",
    "A damaged journal is kept as jobs.bad-TIME.": "files",
}


class Answers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tree = named_things.Tree()
        cls.topics = questions.load_topics()["topics"]

    def test_name_only_what_the_programs_and_the_tree_have(self):
        for topic in self.topics:
            with self.subTest(topic["id"]):
                self.assertEqual(list(named_things.wrong_names(topic["answer"], self.tree)), [])

    def test_with_a_wrong_name_are_found_by_the_check_meant_for_it(self):
        for answer, check in WRONG.items():
            with self.subTest(answer):
                found = [w.split(":")[0] for w in named_things.wrong_names(answer, self.tree)]
                self.assertIn(check, found)

    def test_exist_for_every_error_that_is_not_reserved(self):
        rows = [r for r in self.tree.protocol.splitlines() if r.startswith("| 1") and "| E_" in r and "reserved" not in r]
        self.assertGreaterEqual(len(rows), 20)
        told = " ".join(t["answer"] for t in self.topics)
        missing = [r.split(" | ")[1] for r in rows if r.split(" | ")[1] + " means" not in told]
        self.assertEqual(missing, [])


class Data(unittest.TestCase):
    def test_are_consistent(self):
        self.assertEqual(list(check_data.problems(questions.load_topics(), questions.load_heldout())), [])

    def test_that_break_a_rule_are_found(self):
        topics = questions.load_topics()["topics"]
        by_id = {t["id"]: t for t in topics}
        fact_of_another = dict(topics[0], facts=topics[1]["facts"])
        self.assertTrue(list(check_data.topic_problems(fact_of_another, {**by_id, topics[0]["id"]: fact_of_another})))
        self.assertTrue(list(check_data.topic_problems(dict(topics[0], near=["nobody"]), by_id)))
        kept_back = questions.load_heldout()["third"]["topics"][topics[0]["id"]][0]
        leaked = [questions.Question("Please, " + kept_back.upper(), "x", "x")]
        self.assertTrue(list(check_data.clashes({"x": leaked}, [])))
        twice = [questions.Question("What is this?", "x", "x")]
        self.assertTrue(list(check_data.clashes({"x": twice, "y": twice}, [])))

    def test_keep_special_topics_direct_in_training(self):
        chance = random.Random(7)
        data = questions.load_topics()
        special = {t["id"] for t in data["topics"] if t["special"]}
        inside, _ = questions.training_questions(data)
        for name in special & set(inside):
            for asked in inside[name]:
                typed = questions.distort(asked.text, chance, special=True)
                self.assertTrue(questions.is_direct(typed), typed)
        for text in ("bitnetd gpu", "I wonder whether it needs a GPU.", "We have no GPU. Does it run?", "gpu needed?"):
            self.assertFalse(questions.is_direct(text), text)

    def test_say_one_of_each_choice_of_a_form(self):
        self.assertEqual(questions.expand("[stop|end] a job[| now]."), ["stop a job.", "stop a job now.", "end a job.", "end a job now."])
        topic = {"id": "x", "special": True}
        self.assertEqual(list(check_data.form_problems(topic, ["what is [a|b] c"])), [])
        for broken in ("what is [a|b c", "what is a] c", "what is [a] c", "my boss asks [why|how]"):
            self.assertEqual(len(list(check_data.form_problems(topic, [broken]))), 1, broken)

    def test_keep_the_questions_for_validation_out_of_training(self):
        validation = questions.load_validation()
        self.assertEqual(set(validation["topics"]), {t["id"] for t in questions.load_topics()["topics"]})
        inside, outside = questions.training_questions(questions.load_topics())
        asked = {questions.gist(q.text) for qs in [*inside.values(), outside] for q in qs}
        kept_back = questions.heldout_texts({"validation": validation})
        self.assertEqual([w for w in kept_back if questions.gist(w) in asked], [])

    def test_pairs_have_both_labels_and_all_kinds_of_near_misses(self):
        kinds = [pair["kind"] for pair in questions.load_pairs()]
        for kind, least in (("same", 40), ("number", 15), ("negation", 15), ("name", 15)):
            self.assertGreaterEqual(kinds.count(kind), least, kind)


if __name__ == "__main__":
    unittest.main()
