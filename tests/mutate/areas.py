"""Areas of the code, and the tests that cover each file: what `./dev mutate` runs against a mutant.

AREAS: the folders (or files) that an area changes. COVER: for the files below a path, the meson
tests that cover them, and the pytest selections that are run when those let a mutant through; the
longest path that fits a file counts. Few and quick ones, the likeliest first: the first test that
fails ends it. A new test program belongs in here.
"""

AREAS = {
    'pop3': ['src/pop3'],
    'lmtp': ['src/lmtp'],
    'ipc': ['src/ipc'],
    'maildrop': ['src/maildrop'],
    'server': ['src/server'],
    'fetch': ['src/fetch/journal', 'src/fetch/sink', 'src/fetch/account/config_init.c'],
    'tokens': ['src/fetch/oauth', 'src/fetch/setup', 'src/fetch/https', 'src/https',
               'src/fetch/account/provider.c'],
    'users': ['src/users'],
    'cli': ['src/cli'],
    'base': ['src/base'],
    'sys': ['src/sys'],
    'config': ['src/config'],
    'lookup': ['src/lookup'],
}


def system(*names):
    return [f'tests/system/test_{name}.py' for name in names]


def unit(folder, names):
    return [f'test_{folder}_{name}' for name in names.split()]


MAILDROP = unit('maildrop', 'index maildir now later deliver bad_files together') \
    + ['corpus_index'] + unit('maildrop', 'faults')
REGISTER = unit('maildrop', 'register mail_root')
USERS = unit('users', 'fields bearer names passwd_file app_passwords edit recipients schemes sasl '
                      'login login_app strangers') \
    + ['corpus_bearer', 'corpus_passwd_file', 'corpus_app_passwords', 'corpus_aliases']

# path → (meson tests, pytest selections)
COVER = {
    'src/pop3': (unit('pop3', 'message message_portable server client')
                 + ['transcripts', 'corpus_pop3_server', 'corpus_pop3_client', 'corpus_stuffing'],
                 []),
    'src/lmtp': (['test_lmtp_lmtp', 'transcripts_lmtp', 'corpus_lmtp'],
                 system('lmtp_protocol')),
    'src/ipc': (['test_ipc_messages', 'corpus_ipc', 'corpus_handlers_keeper',
                 'corpus_handlers_lmtp'], system('hostile_front', 'hostile_keeper')),

    'src/maildrop': (MAILDROP + REGISTER, ['tests/crash/test_maildrop.py'] + system('maildir')),
    'src/maildrop/index': (unit('maildrop', 'index') + ['corpus_index']
                           + unit('maildrop', 'maildir later now faults'),
                           ['tests/crash/test_maildrop.py']),
    'src/maildrop/maildir/deliver.c': (unit('maildrop', 'deliver faults together'),
                                       ['tests/crash/test_maildrop.py']),
    'src/maildrop/mail_root.c': (REGISTER + unit('maildrop', 'maildir'),
                                 system('mail_not_mounted')),
    'src/maildrop/mail_mark.c': (REGISTER, system('mail_not_mounted')),
    'src/maildrop/register.c': (REGISTER, system('register')),

    'src/server': (unit('server', 'link limits slot'), system('lifecycle', 'protocol')),
    'src/server/accept.c': (['corpus_handlers_lmtp'], system('listeners', 'capacity')),
    'src/server/certificates.c': (['corpus_handlers_keys'], system('keys', 'tls', 'check')),
    'src/server/child.c': (unit('server', 'keeper_role lmtp_role auth_role allocations')
                           + ['corpus_handlers_front'], system('lifecycle', 'hostile_front')),
    'src/server/expiry.c': (unit('server', 'expiry'), system('check')),
    'src/server/flood.c': (unit('server', 'flood'), system('log')),
    'src/server/front_frame.c': (unit('server', 'lmtp_role front_role ending')
                                 + ['corpus_handlers_front'], system('capacity', 'lifecycle')),
    'src/server/record.c': (unit('server', 'record flood ending'), system('log')),
    'src/server/strangers.c': (unit('server', 'strangers'), system('capacity')),
    'src/server/auth/databases.c': (unit('server', 'auth_databases'), system('database_sql')),
    'src/server/auth/entries.c': (unit('server', 'auth_databases'), []),
    'src/server/mta': (unit('server', 'mta_fields mta_netstring')
                       + ['corpus_mta', 'corpus_handlers_mta', 'corpus_handlers_map'],
                       system('mta_sasl', 'mta_socketmap')),
    'src/server/keeper/idle.c': (unit('server', 'owner'), system('owners')),
    'src/server/auth': (unit('server', 'limits queue homes auth_role auth_databases')
                        + unit('users', 'login') + ['corpus_handlers_auth'],
                        system('login_rules', 'logins_more', 'logins_wait', 'lmtp_recipients')),
    'src/server/auth/homes.c': (unit('server', 'homes'), system('owners')),
    'src/server/auth/keepers.c': (unit('server', 'auth_role') + ['corpus_handlers_auth'],
                                  system('owners', 'lmtp_recipients')),
    'src/server/auth/limits.c': (unit('server', 'limits'), system('login_rules')),
    'src/server/auth/queue.c': (unit('server', 'queue'), system('logins_wait')),
    'src/server/auth/recipient.c': (unit('server', 'auth_role') + ['corpus_handlers_auth'],
                                    system('lmtp_recipients')),
    'src/server/front': (unit('server', 'front_role link reader ending')
                         + ['corpus_handlers_front'],
                         system('protocol', 'bodies', 'log', 'hostile_keeper')),
    'src/server/front/lent.c': (unit('server', 'lent'), system('bodies')),
    'src/server/front/link.c': (unit('server', 'link'), system('logins_wait')),
    'src/server/front/reader.c': (unit('server', 'reader'), system('bodies')),
    'src/server/front/signing.c': (unit('server', 'ending'), system('keys')),
    'src/server/keeper': (unit('server', 'keeper_role') + ['corpus_handlers_keeper'],
                          system('bodies', 'maildir', 'hostile_front', 'lifecycle')),
    'src/server/keeper/delivery.c': (unit('server', 'keeper_role') + ['corpus_handlers_keeper'],
                                     system('lmtp_recipients', 'hostile_lmtp', 'register')),
    'src/server/keeper/envelope.c': (['corpus_handlers_keeper'], system('log')),
    'src/server/keeper/location.c': (unit('server', 'keeper_role'),
                                     system('mail_not_mounted', 'register')),
    'src/server/keeper/notes.c': ([], system('bad_files', 'log')),
    'src/server/keeper/watch.c': ([], system('hanging')),
    'src/server/keys': (['corpus_handlers_keys'], system('keys')),
    'src/server/lmtp': (unit('server', 'spool lmtp_role') + ['corpus_handlers_lmtp'],
                        system('lmtp_protocol', 'lmtp_recipients', 'hostile_lmtp')),
    'src/server/lmtp/refusal.c': (unit('server', 'lmtp_role'), system('log', 'lmtp_recipients')),
    'src/server/lmtp/stock.c': (unit('server', 'lmtp_role'), system('lmtp_spool', 'lmtp_room')),
    'src/server/lmtp/spool.c': (unit('server', 'spool'), system('lmtp_room')),
    'src/server/monitor': (unit('server', 'slot owners'), system('lifecycle', 'listeners')),
    'src/server/monitor/check.c': ([], system('check', 'check_more')),
    'src/server/monitor/demand.c': (unit('server', 'owners'), system('owners')),
    'src/server/monitor/health.c': ([], system('stopped_processes')),
    'src/server/monitor/listeners.c': ([], system('listeners')),
    'src/server/monitor/locations.c': (unit('server', 'locations'),
                                       system('register', 'mail_not_mounted')),
    'src/server/monitor/log_pipe.c': (unit('server', 'log_pipe'), system('log')),
    'src/server/monitor/log_sink.c': (unit('server', 'log_sink'), system('log')),
    'src/server/monitor/logbook.c': (unit('server', 'log_sink log_pipe'), system('log')),
    'src/server/monitor/files.c': ([], system('check', 'mail_not_mounted', 'lifecycle')),
    'src/server/monitor/mail_folder.c': ([], system('lifecycle', 'root_watch')),
    'src/server/monitor/root_watch.c': ([], system('root_watch')),
    'src/server/monitor/members.c': (unit('server', 'slot'), system('lifecycle', 'owners')),
    'src/server/monitor/owners.c': (unit('server', 'owners'), system('owners')),
    'src/server/monitor/slot.c': (unit('server', 'slot'),
                                  system('lifecycle', 'stopped_processes')),

    'src/fetch': (unit('fetch', 'policy journal sink'), system('fetch_basic', 'fetch_policies')),
    'src/fetch/journal': (unit('fetch', 'journal') + ['corpus_journal']
                          + unit('fetch', 'policy sink'),
                          ['tests/crash/test_fetch_crash.py'] + system('fetch_policies')),
    'src/fetch/sink': (unit('fetch', 'sink'),
                       ['tests/crash/test_fetch_crash.py'] + system('fetch_sinks')),
    'src/fetch/sink/upload.c': (unit('fetch', 'sink upload'), system('fetch_imap')),
    'src/fetch/sink/uploader.c': (unit('fetch', 'sink upload'), system('fetch_imap')),
    'src/fetch/upload': (unit('fetch', 'upload') + ['corpus_upload'],
                         system('fetch_imap', 'fetch_gmail')),
    'src/fetch/session': (unit('fetch', 'oauth policy') + ['corpus_oauth'],
                          system('fetch_login', 'fetch_basic', 'fetch_hints')),
    'src/fetch/oauth': (unit('fetch', 'oauth') + ['corpus_oauth'],
                        system('fetch_oauth') + ['tests/crash/test_fetch_oauth_crash.py']),
    'src/fetch/setup': (unit('fetch', 'setup') + ['corpus_setup'],
                        system('fetch_setup', 'fetch_oauth')),
    'src/fetch/https': ([], system('fetch_oauth')),
    'src/https': ([], system('fetch_oauth')),
    'src/fetch/account/provider.c': (unit('fetch', 'oauth'),
                                     system('fetch_setup', 'fetch_oauth')),
    'src/fetch/sink/dotlock.c': (unit('fetch', 'sink'), system('fetch_signals')),
    'src/fetch/sink/runner.c': ([], system('fetch_signals', 'fetch_sinks')),
    'src/fetch/session/proxy.c': (['corpus_proxy'], system('fetch_proxy')),
    'src/fetch/collect/suspects.c': (unit('fetch', 'journal'), system('fetch_poison')),
    'src/fetch/collect/rematch.c': ([], system('fetch_renewed')),
    'src/fetch/collect/listing.c': (unit('fetch', 'journal'), system('fetch_silence')),
    'src/fetch/doctor': ([], system('fetch_doctor')),
    'src/fetch/interrupt.c': ([], system('fetch_signals')),
    'src/fetch/import': (['corpus_import'], system('fetch_import')),
    'src/fetch/watch': (unit('fetch', 'watch'), system('fetch_watch')),
    'src/fetch/account': (unit('fetch', 'policy sink'), system('fetch_login', 'fetch_basic')),

    'src/users': (USERS, system('password', 'login_rules', 'app_passwords')),
    'src/users/edit.c': (unit('users', 'edit'), system('password')),
    'src/cli': (unit('cli', 'init'), system('cli', 'deliver')),
    'src/base': (unit('base', 'array descriptor digest text crc32c crc32c_table log secret'
                      ' siphash table'),
                 system('protocol')),
    'src/sys': (unit('sys', 'arena chan conn filter loop notify process workers tls sandbox'),
                system('tls', 'lifecycle')),
    'src/lookup': (unit('server', 'auth_databases'), system('database_passwd_file')),
    'src/lookup/http': (unit('lookup', 'http') + ['corpus_http_answer'],
                        system('database_http')),
    'src/lookup/oauth': (unit('lookup', 'oauth') + ['corpus_token'], system('database_oauth')),
    'src/lookup/ldap': (unit('lookup', 'ldap_escape ldap_map ldap_servers ldap_verdict')
                        + ['corpus_lookup_ldap'], system('database_ldap')),
    'src/lookup/sql': (unit('lookup', 'sql') + ['corpus_sql_query'], system('database_sql')),
    'src/lookup/system': (unit('lookup', 'system system_frame system_pam system_server')
                          + ['corpus_lookup_system'], system('database_system')),
    'src/config': (['test_config_config', 'corpus_config'], system('manual', 'check')),
}


def cover(file):
    """(meson tests, pytest selections) of a file, a path from the tree's root."""
    fits = [path for path in COVER if file == path or file.startswith(path + '/')]
    return COVER[max(fits, key=len)]
