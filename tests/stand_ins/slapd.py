"""OpenLDAP's slapd on loopback, in a folder of its own, with a few people in it; for tests and
figures. Also what stands between a client and it: a relay that delays, or says nothing.

    slapd = Slapd(); slapd.ldap, slapd.ldaps, slapd.ldapi (addresses); slapd.ca; slapd.stop()

People are uid=NAME,ou=people,dc=example,dc=org, their password is PASSWORD. Nobody may read
userPassword but cn=reader (READER), who may see all; anonymous clients may search.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

from ports import free_port

BASE = 'dc=example,dc=org'
PEOPLE = f'ou=people,{BASE}'
GROUPS = f'ou=groups,{BASE}'
READER, READER_PASSWORD = f'cn=reader,{BASE}', 'reads all'
ROOT, ROOT_PASSWORD = f'cn=root,{BASE}', 'may do all'
PASSWORD = 'correct horse'
MODULES = pathlib.Path('/usr/lib/ldap')
SCHEMA = pathlib.Path('/etc/ldap/schema')

CONF = '''
{schemas}
modulepath {modules}
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile {d}/pid
TLSCACertificateFile {cert}
TLSCertificateFile {cert}
TLSCertificateKeyFile {key}
authz-regexp "gidNumber={gid}\\\\+uidNumber={uid},cn=peercred,cn=external,cn=auth" "{reader}"
{first}
database mdb
suffix "{base}"
rootdn "{root}"
rootpw "{root_password}"
directory {d}/data
index objectClass,uid,mail,member eq
overlay memberof
memberof-refint TRUE
overlay ppolicy
ppolicy_default "cn=policy,{base}"
ppolicy_use_lockout
access to attrs=userPassword by dn.exact="{reader}" read by anonymous auth by * none
access to dn.subtree="ou=hidden,{base}" by dn.exact="{reader}" read by anonymous auth by * none
access to * by * read
{more}
'''

# what a filter for Active Directory needs; the schema of that name in slapd's package has no rules
# for equality
ACTIVE_DIRECTORY = '''
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.656 NAME 'userPrincipalName' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.302 NAME 'sAMAccountType' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
objectclass ( 1.2.840.113556.1.5.9 NAME 'user' SUP organizationalPerson STRUCTURAL
  MAY ( mail $ sAMAccountName $ userPrincipalName $ sAMAccountType $ userAccountControl ) )
'''

DATA = f'''
dn: {BASE}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: {PEOPLE}
objectClass: organizationalUnit
ou: people

dn: {GROUPS}
objectClass: organizationalUnit
ou: groups

dn: ou=hidden,{BASE}
objectClass: organizationalUnit
ou: hidden

dn: {READER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: {READER_PASSWORD}

dn: cn=policy,{BASE}
objectClass: namedObject
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdMustChange: TRUE
'''


def person(name, parent=PEOPLE, password=PASSWORD, **attributes):
    lines = [f'dn: uid={name},{parent}', 'objectClass: inetOrgPerson',
             'objectClass: posixAccount', f'uid: {name}', f'cn: {name}', f'sn: {name}',
             'uidNumber: 1', 'gidNumber: 1']
    attributes = {'homeDirectory': '/nowhere', 'mail': f'{name}@example.org', **attributes}
    if password is not None:
        lines.append(f'userPassword: {password}')
    for key, values in attributes.items():
        for value in [values] if isinstance(values, str) else values:
            lines.append(f'{key.replace("_", ";")}: {value}')
    return '\n'.join(lines) + '\n'


def missing():
    """Why it cannot run here, or None."""
    if not shutil.which('slapd') and not os.path.exists('/usr/sbin/slapd'):
        return 'slapd is not installed'
    if not shutil.which('ldapadd'):
        return 'ldap-utils is not installed'
    return None


def certificate(folder, name='localhost'):
    cert, key = folder / f'{name}.pem', folder / f'{name}.key'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert, '-days',
                    '30', '-subj', f'/CN={name}', '-addext',
                    f'subjectAltName=DNS:{name}' + (',IP:127.0.0.1' if name == 'localhost' else '')
                    ], check=True, capture_output=True)
    return cert, key


class Slapd:
    def __init__(self, people=('anna', 'bert'), data='', schemas=(), first='', more='',
                 name='localhost', reader_uid=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='valija-slapd-'))
        self.dir.chmod(0o755)
        (self.dir / 'data').mkdir()
        self.ca, key = certificate(self.dir, name)
        self.port, self.tls_port = free_port(), free_port()
        self.ldap = f'ldap://127.0.0.1:{self.port}'
        self.ldaps = f'ldaps://127.0.0.1:{self.tls_port}'
        self.ldapi = 'ldapi://' + urllib.parse.quote(str(self.dir / 'socket'), safe='')
        names = ('core', 'cosine', 'nis', 'inetorgperson', 'namedobject', *schemas)
        reader_uid = os.geteuid() if reader_uid is None else reader_uid
        (self.dir / 'slapd.conf').write_text(CONF.format(
            d=self.dir, cert=self.ca, key=key, base=BASE, root=ROOT, modules=MODULES,
            root_password=ROOT_PASSWORD, reader=READER, uid=reader_uid, gid=reader_uid,
            first=first, more=more,
            schemas='\n'.join(f'include {SCHEMA / name}.schema' for name in names)))
        self.process = None
        self.start()
        self.add(DATA + '\n' + '\n'.join(person(name) for name in people) + '\n' + data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Ends with us, also when we are killed."""
        self.process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', '/usr/sbin/slapd', '-d', '0', '-f',
             self.dir / 'slapd.conf', '-h', f'{self.ldap} {self.ldaps} {self.ldapi}'],
            stdin=subprocess.DEVNULL, stdout=open(self.dir / 'log', 'a'),
            stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(('127.0.0.1', self.port), 1).close()
                break
            except OSError:
                assert self.process.poll() is None, (self.dir / 'log').read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        os.chmod(self.dir / 'socket', 0o777)

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self):
        """It stands still when this returns."""
        os.kill(self.process.pid, signal.SIGSTOP)
        tasks = pathlib.Path(f'/proc/{self.process.pid}/task')
        while any((task / 'stat').read_text().rsplit(')', 1)[1].split()[0] != 'T'
                  for task in tasks.iterdir()):
            time.sleep(0.005)

    def go_on(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _tool(self, name, ldif):
        done = subprocess.run([name, '-x', '-H', self.ldapi, '-D', ROOT, '-w', ROOT_PASSWORD,
                               '-e', 'relax'],
                              input=ldif, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def add(self, ldif):
        self._tool('ldapadd', ldif)

    def modify(self, dn, change):
        self._tool('ldapmodify', f'dn: {dn}\nchangetype: modify\n{change}\n')


class Relay:
    """Listens, and passes octets to a port with a delay; silent: takes connections and nothing
    else; closing: ends what was connected."""

    def __init__(self, port, delay=0.0):
        self.to, self.delay, self.silent = port, delay, False
        self.pairs = []
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.ldap = f'ldap://127.0.0.1:{self.port}'
        self.taken = self.questions = 0  # connections; turns of their clients
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.taken += 1
            server = socket.create_connection(('127.0.0.1', self.to))
            self.pairs.append((client, server))
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(one, other, one is client),
                                 daemon=True).start()

    def _copy(self, one, other, asks):
        try:
            while octets := one.recv(65536):
                self.questions += asks
                if self.delay:
                    time.sleep(self.delay)
                if not self.silent:
                    other.sendall(octets)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        """Ends all connections; new ones may come."""
        for pair in self.pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                end.close()
        self.pairs = []

    def stop(self):
        self.listener.close()
        self.cut()
