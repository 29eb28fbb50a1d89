# fish completion for valija(1)
function __valija_accounts
	set -l config ~/.config/valija/fetch.conf
	set -q XDG_CONFIG_HOME; and set config $XDG_CONFIG_HOME/valija/fetch.conf
	test -r $config
	and sed -n 's/^[[:space:]]*account[[:space:]]*"\([^"]*\)".*/\1/p' $config
end

complete -c valija -f -n __fish_use_subcommand -a init -d 'make a post office'
complete -c valija -f -n __fish_use_subcommand -a user -d 'add, change, delete, list users, make their maildrops'
complete -c valija -f -n __fish_use_subcommand -a mark -d 'say what is so with a mail folder'
complete -c valija -f -n __fish_use_subcommand -a deliver -d 'put a message into mail'
complete -c valija -f -n __fish_use_subcommand -a fetch -d 'collect mail'

set -l fetch '__fish_seen_subcommand_from fetch'
complete -c valija -f -n $fetch -a '(__valija_accounts)'
complete -c valija -f -n $fetch -a setup -d 'set an account up'
complete -c valija -f -n $fetch -a login -d 'consent to tokens'
complete -c valija -x -n $fetch -l to -a 'maildir: mbox: command: lmtp:' -d 'where the mail goes'
complete -c valija -f -n $fetch -l keep -d 'leave it on the server'
complete -c valija -f -n $fetch -l delete -d 'delete it when it is here'
complete -c valija -x -n $fetch -l keep-days -d 'delete it so many days later'
complete -c valija -x -n $fetch -l keep-newest -d 'keep so many on the server'
complete -c valija -f -n $fetch -l follow -d 'delete what is removed from the Maildir'
complete -c valija -f -n $fetch -l accept-removals -d 'believe an emptied Maildir'
complete -c valija -x -n $fetch -l tls -a 'implicit starttls none' -d protection
complete -c valija -r -n $fetch -l ca -d 'trusted certificates'
complete -c valija -x -n $fetch -l tls-name -a '(__fish_print_hostnames)' -d 'name in the certificate'
complete -c valija -x -n $fetch -l proxy -a 'socks5:// http:// none' -d 'socks5 or http'
complete -c valija -x -n $fetch -l source -d 'address to connect from'
complete -c valija -x -n $fetch -l pin -d 'key of the server'
complete -c valija -r -n $fetch -l cert -d 'certificate to show'
complete -c valija -r -n $fetch -l key -d 'its key'
complete -c valija -x -n $fetch -l auth -d mechanism -a 'scram-sha-256-plus scram-sha-1-plus \
	scram-sha-256 scram-sha-1 plain login user cram-md5 apop xoauth2 oauthbearer external'
complete -c valija -r -n $fetch -l password-file -d 'file of the password'
complete -c valija -x -n $fetch -l password-command -d 'command that prints the password'
complete -c valija -x -n $fetch -l password-env -d 'variable of the password'
complete -c valija -x -n $fetch -l password-credential -d 'credential of systemd'
complete -c valija -x -n $fetch -l token-command -d 'command that prints an access token'
complete -c valija -r -n $fetch -l netrc -d 'netrc file'
complete -c valija -x -n $fetch -l timeout -d 'seconds of silence allowed'
complete -c valija -f -n $fetch -l no-pipelining -d 'one command at a time'
complete -c valija -x -n $fetch -l recipient -d 'of LMTP'
complete -c valija -f -n $fetch -l crlf -d 'store CRLF line ends'
complete -c valija -x -n $fetch -l max-size -d 'headers only above'
complete -c valija -x -n $fetch -l max-messages -d 'end of a run'
complete -c valija -x -n $fetch -l max-octets -d 'end of a run'
complete -c valija -x -n $fetch -l whole -a all -d 'collect whole now'
complete -c valija -n $fetch -l bodies -d 'of the doctor: read messages'
complete -c valija -x -n $fetch -l leave-out -d 'pass one message over'
complete -c valija -f -n $fetch -l mark-seen -d 'start from now'
complete -c valija -f -n $fetch -l dry-run -d 'show what would be done'
complete -c valija -f -n $fetch -l accept-new-uidls -d 'believe new unique ids'
complete -c valija -r -n $fetch -s c -l config -d configuration
complete -c valija -r -n $fetch -l state -d 'folder of the state'
complete -c valija -x -n $fetch -l jobs -d 'accounts at once'
complete -c valija -f -n $fetch -l json -d events
complete -c valija -r -n $fetch -l record -d transcript
complete -c valija -f -n $fetch -s q -l quiet -d 'no bar, no summary'
complete -c valija -f -n $fetch -s v -l verbose -d 'say more'
complete -c valija -f -n $fetch -l init -d 'make a configuration'
complete -c valija -f -n $fetch -s h -l help -d help
