#!/usr/bin/python3
"""Searches the Promela models of this folder with spin: ./dev test models [WORD…]

A right configuration must be searched to its end without a fault. A mutation leaves out one rule of
the protocol, and spin must find exactly the fault that the rule is there against. A weakness is
what the protocol as it is does not promise, found and named (docs/models.md). With WORDs only those
whose name has one of them are run. --trace WORD prints the runs that lead to the faults.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = 600  # a search that takes so long has grown beyond what it is meant for
MEGABYTES = 2000

LARGE = 'REPLACES=3 CUTS=1 KILLS=1'
SMALL = 'REPLACES=2 CUTS=1 KILLS=1'

# name: (model, definitions)
RIGHT = {
    'rados: two deliveries, session, compaction':
        ('rados', 'MSGS=2 ATTEMPTS=1 SESSIONS=1 COMPACTIONS=1'),
    'rados: two deliveries with retries, session':
        ('rados', 'MSGS=2 ATTEMPTS=2 SESSIONS=1'),
    'rados: delivery, two sessions of a node, two compactions':
        ('rados', 'ATTEMPTS=2 SESSIONS=1 ROUNDS=2 COMPACTIONS=2'),
    'rados: two deliveries, two sessions of a node':
        ('rados', 'MSGS=2 ATTEMPTS=1 SESSIONS=1 ROUNDS=2'),
    'rados: delivery, two nodes, compaction':
        ('rados', 'ATTEMPTS=1 SESSIONS=2 COMPACTIONS=1'),
    'rados: delivery with retry, two nodes': ('rados', 'ATTEMPTS=2 SESSIONS=2'),
    'rados: body late, session, compaction, sweep':
        ('rados', 'ATTEMPTS=2 SESSIONS=1 COMPACTIONS=1 SWEEPS=1 LATE_BODIES'),
    'rados: delivery, sweep':
        ('rados', 'ATTEMPTS=3 SESSIONS=0 SWEEPS=2'),
    'rados: delivery, session, compaction, sweep':
        ('rados', 'ATTEMPTS=2 SESSIONS=1 COMPACTIONS=1 SWEEPS=1'),
    'maildir: delivery, sessions, one cut, one kill': ('maildir', LARGE),
    'maildir: the same, two cuts': ('maildir', 'REPLACES=2 CUTS=2 KILLS=1'),
    'maildir: the same, two kills': ('maildir', 'REPLACES=2 CUTS=1 KILLS=2'),
    'maildir: flushes of QUIT fail':
        ('maildir', 'REPLACES=2 CUTS=1 KILLS=0 FLUSH_FAILS UNWATCHED_LATE'),
    'maildir: log renamed before the base': ('maildir', SMALL + ' LOG_FIRST'),
    'maildir: never hidden and back, with DELs flushed at login':
        ('maildir', LARGE + ' STRICT SETTLE_AT_LOGIN'),
    'maildir: two files of one name, renamed and flushed':
        ('maildir', LARGE + ' DOUBLE FLUSH_DOUBLE'),
}

COMPACT = 'ATTEMPTS=2 SESSIONS=1 COMPACTIONS=1'
SWEEP = 'ATTEMPTS=2 SESSIONS=0 SWEEPS=1'

# name: (model, configuration, mutation, fault)
WRONG = {
    'rados: 250 before the append': ('rados', COMPACT, 'ACK_BEFORE_APPEND', 'lost'),
    'rados: 250 after a timeout': ('rados', COMPACT, 'ACK_ON_TIMEOUT', 'lost'),
    'rados: compaction without assert_version': ('rados', COMPACT, 'NO_ASSERT_VERSION', 'lost'),
    'rados: DELs without assert_locked': ('rados', COMPACT, 'NO_ASSERT_LOCKED', 'unlocked'),
    'rados: one cookie for all sessions of a node':
        ('rados', 'SESSIONS=1 ROUNDS=2', 'COOKIE_OF_NODE', 'reverted'),
    'rados: retry without a look at the body': ('rados', COMPACT, 'NO_STAT', 'again'),
    'rados: append without gen': ('rados', COMPACT, 'NO_GEN', 'again'),
    'rados: compaction keeps gen': ('rados', COMPACT, 'SAME_GEN', 'again'),
    'rados: compaction drops DELs before their bodies':
        ('rados', COMPACT, 'DROP_DEL_EARLY', 'again'),
    'rados: body written again with its id':
        ('rados', COMPACT, 'LATE_BODIES BODY_RETRY_SAME', 'again'),
    'rados: readers keep duplicates': ('rados', COMPACT, 'NO_DEDUPE', 'twice'),
    'rados: bodies removed after a timeout': ('rados', COMPACT, 'REMOVE_ON_TIMEOUT',
                                              'body_before_del'),
    'rados: QUIT +OK after a timeout':
        ('rados', 'SESSIONS=1 ROUNDS=2', 'QUIT_OK_ON_TIMEOUT', 'wrong_ok'),
    'rados: tail read without gen':
        ('rados', 'SESSIONS=1 ROUNDS=2 COMPACTIONS=1 MSGS=2 ATTEMPTS=1', 'READ_WITHOUT_GEN',
         'stale_view'),
    'rados: sweep without a new gen': ('rados', SWEEP, 'SWEEP_NO_FENCE', 'unsafe_sweep'),
    'rados: record without its body':
        ('rados', SWEEP, 'UNWATCHED SWEEP_NO_FENCE', 'dangling'),
    'rados: 250 for a body that the sweep removed': ('rados', SWEEP, 'OK_WHEN_ABSENT', 'lost'),
    'rados: time looked at before gen': ('rados', SWEEP, 'CHECK_BEFORE_GEN', 'unsafe_sweep'),
    'maildir: +OK before DELs are flushed': ('maildir', SMALL, 'ACK_BEFORE_FLUSH', 'again'),
    'maildir: name of the log not flushed': ('maildir', SMALL, 'NO_NAME_FLUSH', 'again'),
    'maildir: new log without pending DELs': ('maildir', SMALL, 'NO_CARRY', 'again'),
    'maildir: carried DELs not flushed': ('maildir', SMALL, 'NO_CARRY_FLUSH', 'again'),
    'maildir: FLUSHED before the folder is': ('maildir', SMALL, 'NO_FOLDER_FLUSH', 'again'),
    'maildir: RETIRE before the folders are flushed':
        ('maildir', SMALL, 'NO_UNLINK_FLUSH', 'again'),
    'maildir: DELs of a dead process not flushed': ('maildir', SMALL, 'NO_SETTLE', 'half'),
    'maildir: 250 before the file is flushed': ('maildir', SMALL, 'NO_FILE_FLUSH', 'lost'),
    'maildir: 250 before new/ is flushed': ('maildir', SMALL, 'NO_NEW_FLUSH', 'lost'),
}

WEAK = {
    'maildir: full disk, killed while it unlinks': ('maildir', SMALL, 'NO_ROOM', 'half'),
    'maildir: QUIT without answer, hidden and back': ('maildir', SMALL, 'STRICT', 'back'),
    'maildir: QUIT with -ERR, carried out by a cut': ('maildir', SMALL, 'FLUSH_FAILS', 'late'),
    'maildir: two files of one name, id after a cut':
        ('maildir', SMALL, 'UNWATCHED_AGAIN DOUBLE', 'id_changed'),
    'maildir: two files of one name, deletion undone by a cut':
        ('maildir', SMALL, 'UNWATCHED_ID DOUBLE', 'again'),
}


class Failed(Exception):
    pass


def call(folder, *command):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False,
                          timeout=SECONDS)
    if done.returncode not in (0, 1):
        raise Failed(f'{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}')
    return done.stdout + done.stderr


def definitions(*texts):
    return ['-D' + word for text in texts for word in text.split()]


def number(pattern, text):
    found = re.search(pattern, text)
    return float(found.group(1)) if found else 0.0


def search(model, flags, trace=False):
    """(fault or None, states, seconds, megabytes, trace)"""
    with tempfile.TemporaryDirectory(prefix='valija-model-') as folder:
        name = f'{model}.pml'
        shutil.copy(HERE / name, folder)  # spin and pan write beside it
        said = call(folder, 'spin', '-a', *flags, name)
        if not os.path.exists(folder + '/pan.c'):
            raise Failed(said)
        # -w: what spin generates is not ours to mend; -DREACH: a search for the shortest run
        said = call(folder, 'gcc', '-O2', '-w', '-DSAFETY', '-DCOLLAPSE', f'-DMEMLIM={MEGABYTES}',
                    *(['-DREACH'] if trace else []), '-o', 'pan', 'pan.c')
        if not os.path.exists(folder + '/pan'):
            raise Failed(said)
        # -E: that a process stops is no fault
        said = call(folder, './pan', '-E', '-m200000', *(['-I'] if trace else []))
        fault = re.search(r'assertion violated +!?\(*(!?)\(?(\w+)', said)
        if fault is None and ('errors: 0' not in said or 'Search not completed' in said
                              or 'max search depth too small' in said):
            raise Failed(said)
        steps = call(folder, 'spin', '-t', '-p', '-g', *flags, name) if trace and fault else ''
        return (fault and fault.group(2), int(number(r'([\d.e+]+) states, stored', said)),
                number(r'elapsed time ([\d.e+-]+)', said),
                number(r'([\d.e+]+)\s+total actual memory', said), steps)


def judge(case):
    name, model, flags, expected = case
    try:
        fault, states, seconds, megabytes, _ = search(model, flags)
    except (Failed, subprocess.TimeoutExpired) as error:
        return False, f'FAILED {name}\n{error}'
    if fault == expected:
        what = f'finds {fault}' if fault else 'holds'
        cost = f'{states:,} states, {seconds:.1f} s, {megabytes:.0f} MB'
        return True, f'ok     {name}: {what}; {cost}'
    return False, f'FAILED {name}: expected {expected or "no fault"}, found {fault or "none"}'


def all_cases():
    cases = [(name, model, definitions(given), None) for name, (model, given) in RIGHT.items()]
    for table in (WRONG, WEAK):
        cases += [(f'{name} ({mutation.split()[-1]})', model, definitions(given, mutation), fault)
                  for name, (model, given, mutation, fault) in table.items()]
    return cases


def main():
    words = sys.argv[1:]
    trace = words[:1] == ['--trace']
    words = words[1:] if trace else words
    cases = [case for case in all_cases()
             if not words or any(word in case[0] for word in words)]
    if trace:
        for name, model, flags, _ in cases:
            print(f'{name}\n{search(model, flags, True)[4]}')
        return 0
    good = 0
    with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        for passed, text in pool.map(judge, cases):
            good += passed
            print(text, flush=True)
    print(f'models: {good} passed, {len(cases) - good} failed')
    return 0 if cases and good == len(cases) else 1


if __name__ == '__main__':
    sys.exit(main())
