"""Fixtures of the system tests: the programs must be built; an office a worker, or your own."""
import itertools
import pathlib
import shutil
import signal
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / 'corpus')]

import office as post  # noqa: E402
from pop import Pop, client_context  # noqa: E402


def pytest_configure(config):
    # under nohup it is ignored, and so it would be by what the tests start
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    missing = [name for name in ('valijad', 'valija') if not post.program(name).exists()]
    if missing:
        pytest.exit(f'{" and ".join(missing)} not built in {post.build_dir()}', 4)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what its servers said."""
    report = (yield).get_result()
    if not report.failed:
        return
    fixtures = item.funcargs
    offices = getattr(fixtures.get('make_office'), 'made', [])
    offices = [*offices, *(fixtures[name] for name in ('shared',) if name in fixtures)]
    for office in offices:
        report.sections.append(('valijad said', office.log_text()[-6000:]))


@pytest.fixture
def make_office():
    """make_office(settings=…, users=…): started offices that end with the test."""
    def make(start=True, **more):
        made.append(post.Office(**more))
        return made[-1].start() if start else made[-1]
    made = make.made = []

    yield make
    failures = []
    for office in made:
        try:
            office.stop()
        except AssertionError as failure:
            failures.append(str(failure))
        office.remove()
    assert not failures, '\n'.join(failures)


@pytest.fixture
def office(make_office):
    """An office of the test's own with the user demo."""
    return make_office()


@pytest.fixture(scope='session')
def session_office():
    """One office for all tests of this worker that neither stop nor change it."""
    with post.Office(users=('first',)) as opened:
        yield opened


NUMBERS = itertools.count(1)


@pytest.fixture
def shared(session_office):
    """The worker's office; what the test made it say is looked at when the test ends."""
    session_office.allowed = []
    yield session_office
    session_office.check_log()
    session_office.allowed = []


@pytest.fixture
def user(shared):
    """The name of a new user of the shared office (password: office.PASSWORD)."""
    name = f'user{next(NUMBERS)}'
    shared.add_user(name)
    yield name
    if shared.allowed:  # what the server says of this user's maildrop may come a moment later
        shared.allowed_later.append(rf'\b{name}\b')


@pytest.fixture
def connect():
    """connect(office, tls=…): clients that are closed when the test ends. tls: None, True (the
    certificate is checked) or a context."""
    clients = []

    def make(office, tls=None, **more):
        context = client_context(str(office.cert)) if tls is True else tls
        clients.append(Pop(office.pop3s if tls else office.pop3, context, **more))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def tool():
    """tool(NAME): path of a client program, or the test is skipped."""
    def find(name):
        path = shutil.which(name)
        if not path:
            pytest.skip(f'{name} is not installed')
        return path
    return find


@pytest.fixture
def need_root():
    if post.os.geteuid() != 0:
        pytest.skip('needs root')


@pytest.fixture
def figure():
    """figure(TEXT): a line that ./dev test shows among its results."""
    def tell(text):
        print(text)
        if path := post.os.environ.get('VALIJA_FIGURES'):
            with open(path, 'a') as file:
                file.write(text + '\n')
    return tell
