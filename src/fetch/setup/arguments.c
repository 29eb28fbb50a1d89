/* See arguments.h. */
#include "fetch/setup/arguments.h"

#include "base/text.h"
#include "fetch/account/password_setting.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
	OPT_STATE = 256,
	OPT_NAME,
	OPT_SERVER,
	OPT_AUTOCONFIG,
	OPT_NO_LOOKUP,
	OPT_USER,
	OPT_TO,
	OPT_POLICY,
	OPT_AUTH,
	OPT_CA,
	OPT_SECRET, /* see fetch_password_setting */
	OPT_OAUTH,
	OPT_CLIENT_ID,
	OPT_CLIENT_FILE,
	OPT_FLOW,
	OPT_NO_BROWSER,
	OPT_NO_TEST,
	OPT_YES,
	OPT_TIMER,
	OPT_WATCH,
	OPT_NO_TIMER,
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"state", required_argument, NULL, OPT_STATE},
	{"name", required_argument, NULL, OPT_NAME},
	{"server", required_argument, NULL, OPT_SERVER},
	{"autoconfig", required_argument, NULL, OPT_AUTOCONFIG},
	{"no-lookup", no_argument, NULL, OPT_NO_LOOKUP},
	{"user", required_argument, NULL, OPT_USER},
	{"to", required_argument, NULL, OPT_TO},
	{"policy", required_argument, NULL, OPT_POLICY},
	{"auth", required_argument, NULL, OPT_AUTH},
	{"ca", required_argument, NULL, OPT_CA},
	{"password-file", required_argument, NULL, OPT_SECRET},
	{"password-command", required_argument, NULL, OPT_SECRET},
	{"password-env", required_argument, NULL, OPT_SECRET},
	{"password-credential", required_argument, NULL, OPT_SECRET},
	{"netrc", required_argument, NULL, OPT_SECRET},
	{"token-command", required_argument, NULL, OPT_SECRET},
	{"oauth", required_argument, NULL, OPT_OAUTH},
	{"client-id", required_argument, NULL, OPT_CLIENT_ID},
	{"client-file", required_argument, NULL, OPT_CLIENT_FILE},
	{"flow", required_argument, NULL, OPT_FLOW},
	{"no-browser", no_argument, NULL, OPT_NO_BROWSER},
	{"no-test", no_argument, NULL, OPT_NO_TEST},
	{"yes", no_argument, NULL, OPT_YES},
	{"timer", no_argument, NULL, OPT_TIMER},
	{"watch", no_argument, NULL, OPT_WATCH},
	{"no-timer", no_argument, NULL, OPT_NO_TIMER},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

void setup_usage(bool mistake)
{
	fputs("usage: valija fetch setup [-c FILE] [--to PLACE] [--policy WORDS] [--yes] ADDRESS\n"
	      "finding:  --server pop3s://HOST --autoconfig URL --no-lookup --user NAME --ca FILE\n"
	      "login:    --password-file FILE --oauth PROVIDER --client-id ID --client-file FILE\n"
	      "          --flow device|browser --no-browser --no-test\n"
	      "then:     --timer --watch --no-timer\n",
	      mistake ? stderr : stdout);
}

static int flow(const char *text, struct setup_arguments *ret, struct err *err)
{
	if (strcmp(text, "device") != 0 && strcmp(text, "browser") != 0)
		return err_set(err, EX_USAGE, "--flow is device or browser, not \"%.40s\"", text);
	ret->login.flow = text[0] == 'd' ? OAUTH_FLOW_DEVICE : OAUTH_FLOW_BROWSER;
	return 0;
}

/* Options with a text. false: it is another one. */
static bool take_text(int option, const char *value, struct setup_arguments *ret)
{
	const struct {
		int option;
		const char **to;
	} texts[] = {{'c', &ret->config},
		     {OPT_STATE, &ret->state},
		     {OPT_NAME, &ret->name},
		     {OPT_SERVER, &ret->server},
		     {OPT_AUTOCONFIG, &ret->autoconfig},
		     {OPT_USER, &ret->user},
		     {OPT_TO, &ret->to},
		     {OPT_POLICY, &ret->policy},
		     {OPT_AUTH, &ret->auth},
		     {OPT_CA, &ret->ca},
		     {OPT_OAUTH, &ret->oauth},
		     {OPT_CLIENT_ID, &ret->client_id},
		     {OPT_CLIENT_FILE, &ret->client_file}};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].option != option)
			continue;
		*texts[i].to = value;
		return true;
	}
	return false;
}

static void take_secret(const struct fetch_password_setting *setting, const char *value,
			struct setup_arguments *ret)
{
	ret->secret_key = setting->name;
	ret->source = setting->source;
	ret->secret = value;
}

static bool take_flag(int option, struct setup_arguments *ret)
{
	const struct {
		int option;
		bool *to;
	} flags[] = {{OPT_NO_LOOKUP, &ret->no_lookup}, {OPT_NO_BROWSER, &ret->login.no_browser},
		     {OPT_NO_TEST, &ret->no_test},     {OPT_YES, &ret->yes},
		     {OPT_TIMER, &ret->timer},         {OPT_WATCH, &ret->watch},
		     {OPT_NO_TIMER, &ret->no_timer},   {'h', &ret->help}};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (flags[i].option != option)
			continue;
		*flags[i].to = true;
		return true;
	}
	return false;
}

static int check(const struct setup_arguments *a, struct err *err)
{
	const char *at = a->address ? strrchr(a->address, '@') : NULL;

	if (!at || at == a->address || !at[1] || strpbrk(a->address, " \t\r\n<>\"/\\%?#"))
		return err_set(err, EX_USAGE, "\"%.100s\" is no address such as anna@example.org",
			       a->address ? a->address : "");
	if (a->secret && (a->oauth || a->client_id || a->client_file))
		return err_set(err, EX_USAGE, "--%s and tokens of a provider: one of them",
			       a->secret_key);
	return 0;
}

int setup_arguments_parse(int argc, char **argv, struct setup_arguments *ret, struct err *err)
{
	int option, row = 0;

	*ret = (struct setup_arguments){0};
	optind = 0;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "c:h", long_options, &row)) != -1) {
		if (option == OPT_FLOW) {
			if (flow(optarg, ret, err) < 0)
				return -1;
		} else if (option == OPT_SECRET) {
			take_secret(fetch_password_setting_named(long_options[row].name), optarg,
				    ret);
		} else if (!take_text(option, optarg, ret) && !take_flag(option, ret)) {
			return err_set(err, EX_USAGE, "%.80s is not known, or lacks its value",
				       argv[optind - 1]);
		}
	}
	if (ret->help)
		return 0;
	if (argc - optind != 1)
		return err_set(err, EX_USAGE, "one address is needed: anna@example.org");
	ret->address = argv[optind];
	return check(ret, err);
}
