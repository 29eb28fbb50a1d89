"""Areas of the code and the tests that cover each: what `./dev mutate` runs against a mutant.

An area: the folders (or files) it changes, the meson tests that cover them, and the pytest
selections that are run when those let a mutant through. Quick ones come first: the first test that
fails ends it.
"""

SERVER_TESTS = [
    'tests/system/test_protocol.py', 'tests/system/test_lifecycle.py',
    'tests/system/test_maildir.py', 'tests/system/test_lmtp_protocol.py',
    'tests/system/test_lmtp_recipients.py', 'tests/system/test_lmtp_faults.py',
    'tests/system/test_threats_server.py', 'tests/system/test_hostile_front.py',
    'tests/system/test_hostile_keeper.py', 'tests/system/test_hostile_lmtp.py',
    'tests/system/test_hostile_auth.py', 'tests/system/test_listeners.py',
    'tests/system/test_attack_processes.py', 'tests/system/test_attack_keeper.py',
    'tests/system/test_password.py', 'tests/system/test_tls.py',
    'tests/crash/test_running_server.py',
]
FETCH_TESTS = [
    'tests/system/test_fetch_basic.py', 'tests/system/test_fetch_sinks.py',
    'tests/system/test_fetch_policies.py', 'tests/system/test_fetch_login.py',
    'tests/system/test_fetch_hostile.py', 'tests/crash/test_fetch_crash.py',
]
TOKEN_TESTS = [
    'tests/system/test_fetch_oauth.py', 'tests/system/test_fetch_setup.py',
    'tests/crash/test_fetch_oauth_crash.py',
]

AREAS = {
    'pop3': (['src/pop3'],
             ['test_pop3_message', 'test_pop3_message_portable', 'test_pop3_server',
              'test_pop3_client', 'transcripts', 'corpus_pop3_server', 'corpus_pop3_client',
              'corpus_stuffing'], []),
    'lmtp': (['src/lmtp'],
             ['test_lmtp_lmtp', 'transcripts_lmtp', 'corpus_lmtp'],
             ['tests/system/test_lmtp_protocol.py', 'tests/system/test_lmtp_recipients.py']),
    'ipc': (['src/ipc'], ['test_ipc_messages', 'corpus_ipc'],
            ['tests/system/test_hostile_front.py', 'tests/system/test_hostile_keeper.py']),
    'maildrop': (['src/maildrop'],
                 ['test_maildrop_index', 'test_maildrop_maildir', 'test_maildrop_now',
                  'test_maildrop_later', 'test_maildrop_deliver', 'test_maildrop_mail_root',
                  'test_maildrop_together', 'corpus_index', 'test_maildrop_faults'],
                 ['tests/crash/test_maildrop.py', 'tests/system/test_maildir.py',
                  'tests/system/test_mail_not_mounted.py']),
    'server': (['src/server'],
               ['test_server_limits', 'test_server_link', 'test_server_reader',
                'test_server_slot'], SERVER_TESTS),
    'fetch': (['src/fetch/journal', 'src/fetch/sink', 'src/fetch/account/config_init.c'],
              ['test_fetch_journal', 'test_fetch_sink', 'test_fetch_policy', 'corpus_journal'],
              FETCH_TESTS),
    'tokens': (['src/fetch/oauth', 'src/fetch/setup', 'src/fetch/account/provider.c'],
               ['test_fetch_oauth', 'test_fetch_setup', 'corpus_oauth', 'corpus_setup'],
               TOKEN_TESTS),
    'users': (['src/users'],
              ['test_users_names', 'test_users_passwd_file', 'test_users_recipients',
               'test_users_schemes', 'test_users_sasl', 'test_users_login',
               'corpus_passwd_file', 'corpus_aliases'],
              ['tests/system/test_cli.py', 'tests/system/test_password.py',
               'tests/system/test_protocol.py']),
    'cli': (['src/cli'], [],
            ['tests/system/test_cli.py', 'tests/system/test_deliver.py']),
    'base': (['src/base'],
             ['test_base_array', 'test_base_descriptor', 'test_base_digest', 'test_base_text',
              'test_base_crc32c', 'test_base_log', 'test_base_secret'],
             ['tests/system/test_protocol.py']),
    'sys': (['src/sys'],
            ['test_sys_arena', 'test_sys_chan', 'test_sys_conn', 'test_sys_loop',
             'test_sys_notify', 'test_sys_process', 'test_sys_workers', 'test_sys_tls',
             'test_sys_sandbox'],
            ['tests/system/test_protocol.py', 'tests/system/test_tls.py',
             'tests/system/test_lifecycle.py']),
    'config': (['src/config'], ['test_config_config', 'corpus_config'],
               ['tests/system/test_manual.py', 'tests/system/test_lifecycle.py']),
}
