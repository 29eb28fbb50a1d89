"""Files that `meson install` puts on a system, and that debian/*.install and dist/valija.spec hand
out: each file is in one package, and no line names nothing. Without a build it is skipped."""
import fnmatch
import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILDS = [pathlib.Path(path) for path in (os.environ.get('BUILD_DIR', 'build'), 'build-test')]


# of the store in RADOS: built where librados is; the RPMs are built without it
OF_RADOS = {'valija-keeper-rados', 'valija-rados', 'valija-rados.conf'}


def installed():
    """The paths below the root of a system, with Debian's folders for libraries and programs."""
    build = next((ROOT / path for path in BUILDS if (ROOT / path / 'build.ninja').exists()), None)
    if build is None:
        pytest.skip('no build folder: ./dev build makes one')

    def tell(what):
        done = subprocess.run(['/usr/bin/meson', 'introspect', f'--{what}', build],
                              check=True, capture_output=True, text=True)
        return json.loads(done.stdout)
    values = {option['name']: option['value'] for option in tell('buildoptions')}
    prefix = pathlib.Path(values['prefix'])
    found = set()
    for path in tell('installed').values():
        path = pathlib.Path(path)
        for name, there in (('libdir', 'lib/x86_64-linux-gnu'), ('sysconfdir', '/etc')):
            folder = prefix / values[name]
            if path.is_relative_to(folder):
                path = pathlib.Path('/usr', there) / path.relative_to(folder)
        if path.is_relative_to(prefix):
            path = pathlib.Path('/usr') / path.relative_to(prefix)
        found.add(str(path).lstrip('/'))
    return found


def without_rados(paths):
    return {path for path in paths if pathlib.PurePath(path).name not in OF_RADOS}


def test_one_kind_of_packages_has_rados():
    assert '-Drados=enabled' in (ROOT / 'debian/rules').read_text()
    assert '-Drados=disabled' in (ROOT / 'dist/valija.spec').read_text()


def test_librados_is_in_one_package():
    """Nobody else is burdened by it."""
    text = (ROOT / 'debian/valija-rados.install').read_text()
    assert OF_RADOS <= {pathlib.PurePath(line).name for line in text.split()}


def patterns():
    """(file, pattern) of every line of debian/*.install that names what meson puts there."""
    for file in sorted((ROOT / 'debian').glob('*.install')):
        for line in file.read_text().splitlines():
            if line.strip():
                yield file.name, line.split()[0]


def is_for(pattern, path):
    """debhelper's: a folder stands for what is in it; * stays in its component."""
    parts, names = pattern.split('/'), path.split('/')
    return len(parts) <= len(names) and all(map(fnmatch.fnmatch, names, parts))


def test_every_installed_file_is_in_one_package():
    lines = list(patterns())
    for path in sorted(installed()):
        owners = {file for file, pattern in lines if is_for(pattern, path)}
        if path.startswith('usr/lib/x86_64-linux-gnu/libpop3.so.0'):
            owners -= {'libpop3-dev.install'}
        assert len(owners) == 1, f'{path}: {sorted(owners) or "no line of debian/*.install has it"}'


def test_every_line_has_a_file():
    """But for libraries that a build here may lack."""
    paths = installed()
    optional = ('valija-lookup-', *OF_RADOS)
    for file, pattern in patterns():
        there = any(is_for(pattern, path) for path in paths)
        assert there or any(word in pattern for word in optional), f'{file}: {pattern} is nothing'


MACROS = {'_bindir': 'usr/bin', '_sbindir': 'usr/sbin', '_prefix': 'usr', '_sysconfdir': 'etc',
          '_datadir': 'usr/share', '_mandir': 'usr/share/man', '_docdir': 'usr/share/doc',
          '_includedir': 'usr/include', '_libdir': 'usr/lib/x86_64-linux-gnu'}


def spec_patterns():
    """(package, pattern) of each line of %files."""
    text = (ROOT / 'dist/valija.spec').read_text()
    for section in re.split(r'(?m)^%files', text)[1:]:
        name, *lines = section.split('\n%changelog')[0].splitlines()
        for line in lines:
            found = re.match(r'(?:%config\(noreplace\) )?(%\{.*)$', line)
            if found:
                yield name.strip(), re.sub(r'%\{(\w+)\}', lambda m: MACROS[m[1]], found[1])


def test_every_installed_file_is_in_one_rpm():
    lines = list(spec_patterns())
    assert lines
    for path in sorted(without_rados(installed())):
        owners = {name for name, pattern in lines if is_for(pattern.removesuffix('*')
                                                            if '/man' in pattern else pattern, path)
                  or is_for(pattern, path)}
        assert len(owners) == 1, f'{path}: {sorted(owners) or "no line of %files has it"}'


def test_every_line_of_the_spec_has_a_file():
    paths = installed() | {'usr/share/valija/make-users'}  # that one the spec installs itself
    for name, pattern in spec_patterns():
        there = any(is_for(pattern, path) for path in paths)
        assert there or 'valija-lookup-' in pattern, f'{name}: {pattern} is nothing'


def test_each_package_of_control_has_files():
    control = (ROOT / 'debian/control').read_text()
    names = set(re.findall(r'(?m)^Package: (\S+)$', control))
    assert names == {file.removesuffix('.install') for file, _ in patterns()}


def test_the_versions_agree():
    version = re.search(r"version: '([^']+)'", (ROOT / 'meson.build').read_text())[1]
    assert re.search(r'(?m)^Version: +(\S+)', (ROOT / 'dist/valija.spec').read_text())[1] == version
    assert re.match(r'valija \((\S+)\)', (ROOT / 'debian/changelog').read_text())[1] == version
