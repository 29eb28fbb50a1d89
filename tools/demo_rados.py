"""`./dev demo rados`: a Ceph cluster of one monitor and three OSDs in memory, two valijads on one
pool, mail by LMTP to the one, collected from the other, deleted there, gone here.

Exit status 0 only if every octet of every message arrived. All that it started ends with it, and
nothing is left behind.
"""
import pathlib
import shutil
import signal
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tests/rados'), str(ROOT / 'tests/system'), str(ROOT / 'tests/corpus')]

import cluster  # noqa: E402
import generate  # noqa: E402
from node import PASSWORD, Node, build_dir  # noqa: E402
from wire import wire_form  # noqa: E402

USER = 'demo'
BEGAN = time.monotonic()


def say(text=''):
    print(text, flush=True)


def step(text):
    say(f'\n── {time.monotonic() - BEGAN:.0f} s: {text}')


def command(node, *words):
    say('$ ' + ' '.join(map(str, words)))
    say(node.run(*words).stdout.rstrip())


def deliver(node, messages):
    good = 0
    for _, octets in messages:
        replies = node.deliver(wire_form(octets), USER)
        good += replies[0].startswith('250')
    say(f'{good} of {len(messages)} messages acknowledged with 250.')
    return good == len(messages)


def collect(node, messages):
    """Every message in its order, octet by octet, behind what LMTP put in front."""
    pop = node.login(USER)
    arrived = [pop.retr(n + 1) for n in range(pop.stat()[0])]
    exact = sum(one.endswith(wire_form(octets)) for one, (_, octets) in zip(arrived, messages))
    say(f'{exact} of {len(messages)} messages arrived octet-exact.')
    return pop, exact == len(arrived) == len(messages)


def delete_all(pop, other):
    for n in range(1, pop.stat()[0] + 1):
        pop.ok(f'DELE {n}')
    pop.quit()
    pop = other.login(USER)
    left = pop.stat()[0]
    pop.quit()
    say(f'{left} messages are left, as the first node shows it.')
    return left == 0


def show_ways(ceph, nodes):
    say(f'''Try it by hand (the user is {USER}, the password {PASSWORD}):

  curl -u '{USER}:{PASSWORD}' pop3://127.0.0.1:{nodes[0].pop3}/
  curl -u '{USER}:{PASSWORD}' pop3://127.0.0.1:{nodes[1].pop3}/
  curl --mail-from a@example.org --mail-rcpt {USER}@example.org -T FILE \\
      smtp://127.0.0.1:{nodes[0].lmtp}
      (an LMTP server: swaks --protocol LMTP does better)
  ceph -c {ceph.conf} status
  rados -c {ceph.conf} -p mail ls
  {build_dir() / 'valija'} rados check -c {nodes[0].conf}''')


def run(scratch, ends):
    step('A Ceph cluster: one monitor, three OSDs, two pools, a key for the keepers')
    ceph = cluster.Cluster(scratch / 'ceph')
    ends.append(ceph)
    ceph.start()
    step('Two nodes of one site: valija rados init, valijad twice')
    nodes = [Node(scratch / name, ceph, users=(USER,)) for name in ('one', 'two')]
    ends.extend(nodes)
    command(nodes[0], 'valija', 'rados', 'init', '-c', nodes[0].conf)
    for node in nodes:
        node.start()
        say(f'{node.dir.name}: POP3 on 127.0.0.1:{node.pop3}, LMTP on 127.0.0.1:{node.lmtp}')
    messages = list(generate.messages())
    step(f'{len(messages)} messages by LMTP to node one')
    good = deliver(nodes[0], messages)
    command(nodes[0], 'valija', 'rados', 'check', '--read', '-c', nodes[0].conf)
    step('Collected from node two')
    pop, exact = collect(nodes[1], messages)
    step('Deleted at node two')
    good = delete_all(pop, nodes[0]) and good and exact
    if not good:
        for node in nodes:
            say(f'\nWhat node {node.dir.name} said:\n{node.text()}')
    if sys.stdin.isatty():
        step('By hand')
        show_ways(ceph, nodes)
        say('\nServing until Ctrl-C.')
        signal.pause()
    step('Done' if good else 'Something is wrong')
    return good


def leave(*_):
    raise KeyboardInterrupt


def main():
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
    scratch, ends = pathlib.Path(tempfile.mkdtemp(prefix='valija-demo-')), []
    scratch.chmod(0o755)
    try:
        return 0 if run(scratch, ends) else 1
    except KeyboardInterrupt:
        return 130
    finally:
        for end in reversed(ends):
            end.stop()
        shutil.rmtree(scratch, ignore_errors=True)


sys.exit(main())
