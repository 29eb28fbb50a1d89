"""Thunderbird without a window: a profile with one POP3 account, and a run that collects."""
import base64
import ctypes
import hashlib
import json
import os
import queue
import re
import signal
import ssl
import subprocess
import threading
import time

# what would ask a person, or somebody else's server
QUIET = {
    'app.update.auto': False, 'app.update.enabled': False, 'browser.dom.window.dump.enabled': True,
    'datareporting.policy.dataSubmissionEnabled': False, 'devtools.console.stdout.chrome': True,
    'extensions.getAddons.cache.enabled': False, 'extensions.update.enabled': False,
    'mail.biff.play_sound': False, 'mail.biff.show_alert': False,
    'mail.inappnotifications.enabled': False, 'mail.provider.suppress_dialog_on_startup': True,
    'mail.rights.version': 1, 'mail.shell.checkDefaultClient': False,
    'mail.spotlight.firstRunDone': True, 'mailnews.start_page.enabled': False,
    'network.captive-portal-service.enabled': False, 'network.connectivity-service.enabled': False,
    'network.proxy.type': 0, 'toolkit.telemetry.enabled': False,
}
LOG = re.compile(r'console\.debug: pop3\.server1\.\d+: "(.*)"$')


class Item(ctypes.Structure):
    """SECItem of NSS."""
    _fields_ = [('type', ctypes.c_uint), ('data', ctypes.c_void_p), ('size', ctypes.c_uint)]


def _encrypt(nss, text):
    octets = ctypes.create_string_buffer(text.encode(), len(text.encode()))
    source = Item(0, ctypes.cast(octets, ctypes.c_void_p), len(octets))
    key, result = Item(), Item()
    assert nss.PK11SDR_Encrypt(ctypes.byref(key), ctypes.byref(source), ctypes.byref(result),
                               None) == 0
    return base64.b64encode(ctypes.string_at(result.data, result.size)).decode()


def _store_password(profile, user, password):
    """As Thunderbird remembers it, with the key that it makes for a profile."""
    nss = ctypes.CDLL('libnss3.so')
    nss.PK11_GetInternalKeySlot.restype = ctypes.c_void_p
    assert nss.NSS_InitReadWrite(f'sql:{profile}'.encode()) == 0
    slot = ctypes.c_void_p(nss.PK11_GetInternalKeySlot())
    if nss.PK11_NeedUserInit(slot):
        assert nss.PK11_InitPin(slot, None, b'') == 0
    login = {'id': 1, 'hostname': 'mailbox://localhost', 'httpRealm': 'mailbox://localhost',
             'formSubmitURL': None, 'usernameField': '', 'passwordField': '', 'encType': 1,
             'encryptedUsername': _encrypt(nss, user), 'encryptedPassword': _encrypt(nss, password),
             'guid': '{00000000-0000-4000-8000-000000000001}', 'timeCreated': 1, 'timeLastUsed': 1,
             'timePasswordChanged': 1, 'timesUsed': 1}
    nss.PK11_FreeSlot(slot)
    assert nss.NSS_Shutdown() == 0
    (profile / 'logins.json').write_text(json.dumps({'nextId': 2, 'logins': [login], 'version': 3}))


def _trust(profile, port, ca):
    """This certificate is good for that port."""
    with open(ca, encoding='ascii') as file:
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read())).hexdigest().upper()
    pairs = ':'.join(digest[at:at + 2] for at in range(0, len(digest), 2))
    (profile / 'cert_override.txt').write_text(
        f'# PSM Certificate Override Settings file\n'
        f'localhost:{port}:\tOID.2.16.840.1.101.3.4.2.1\t{pairs}\t\n')


def _write(profile, name, preferences):
    (profile / name).write_text(''.join(
        f'user_pref({json.dumps(key)}, {json.dumps(value)});\n'
        for key, value in preferences.items()))


def make_profile(profile, port, user, password, ca):
    for folder in ('pop', 'Local Folders'):
        (profile / 'Mail' / folder).mkdir(parents=True)
    _store_password(profile, user, password)
    _trust(profile, port, ca)
    pop, local = 'mail.server.server1.', 'mail.server.server2.'
    _write(profile, 'prefs.js', QUIET | {
        'mail.accountmanager.accounts': 'account1,account2', 'mail.account.lastKey': 2,
        'mail.accountmanager.defaultaccount': 'account1',
        'mail.accountmanager.localfoldersserver': 'server2',
        'mail.account.account1.identities': 'id1', 'mail.account.account1.server': 'server1',
        'mail.account.account2.server': 'server2', 'mail.identity.id1.valid': True,
        'mail.identity.id1.useremail': f'{user}@example.org', 'mail.identity.id1.fullName': user,
        pop + 'type': 'pop3', pop + 'hostname': 'localhost', pop + 'port': port,
        pop + 'userName': user, pop + 'name': user, pop + 'socketType': 3, pop + 'authMethod': 3,
        pop + 'delete_by_age_from_server': False, pop + 'download_on_biff': True,
        pop + 'login_at_startup': True, pop + 'check_new_mail': True, pop + 'check_time': 60,
        pop + 'storeContractID': '@mozilla.org/msgstore/berkeleystore;1',
        pop + 'directory-rel': '[ProfD]Mail/pop', pop + 'directory': f'{profile}/Mail/pop',
        local + 'type': 'none', local + 'hostname': 'Local Folders', local + 'userName': 'nobody',
        local + 'name': 'Local Folders', local + 'directory-rel': '[ProfD]Mail/Local Folders',
        local + 'directory': f'{profile}/Mail/Local Folders',
        'mailnews.pop3.loglevel': 'All',
    })


def set_keep(profile, keep):
    """user.js wins over what it has written itself."""
    _write(profile, 'user.js', {'mail.server.server1.leave_on_server': keep})


def run(profile, env):
    """It collects when it starts; ended when that session is. Returns what both have said."""
    program = subprocess.Popen(
        ['thunderbird', '--headless', '--no-remote', '--profile', str(profile)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors='replace', env={**env, 'MOZ_HEADLESS': '1'}, start_new_session=True)
    lines, said, all_of_it = queue.Queue(), [], []
    threading.Thread(target=lambda: [lines.put(line) for line in program.stdout] + [lines.put('')],
                     daemon=True).start()
    deadline = time.monotonic() + 120
    try:
        while 'Connection closed.' not in said:
            line = lines.get(timeout=max(0.1, deadline - time.monotonic()))
            assert line, (program.wait(), all_of_it[-20:])
            all_of_it.append(line)
            match = LOG.match(line.rstrip())
            if match:
                said.append(match[1])
    except queue.Empty:
        raise AssertionError(f'Thunderbird did not end its session: {said}, '
                             f'{all_of_it[-20:]}') from None
    finally:
        os.killpg(program.pid, signal.SIGTERM)
        try:
            program.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()
    assert 'Done with status=0x0' in said, said
    return said
