/* See doctor.h. Runs with the rights of its caller: what only root can read is looked at by root.
 * Asks nobody but the server itself, its databases and the name service. */
#include "cli/doctor/doctor.h"

#include "base/text.h"
#include "cli/command.h"
#include "cli/doctor/finding.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const struct check checks[] = {
	{"settings", check_settings, 5}, {"configuration", check_configuration, 60},
	{"files", check_files, 10},      {"mail", check_mail, 30},
	{"disk", check_disk, 10},        {"listener", check_listeners, 60},
	{"names", check_names, 30},      {"databases", check_databases, 60},
	{"kernel", check_kernel, 10},    {"clock", check_clock, 5},
};

static const char *const words[SEVERITIES] = {"ok", "note", "warning", "error"};

struct printing {
	bool json;
	unsigned count[SEVERITIES];
};

static void print_string(const char *name, const char *value)
{
	printf("\"%s\": \"", name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			putchar('\\');
		if ((unsigned char)*value < ' ' || *value == 0x7f)
			printf("\\u%04x", (unsigned)*value);
		else
			putchar(*value);
	}
	putchar('"');
}

static void print_json(const struct finding *finding, bool first)
{
	printf("%s\n  {", first ? "[" : ",");
	print_string("severity", words[finding->severity]);
	fputs(", ", stdout);
	print_string("check", finding->check);
	fputs(", ", stdout);
	print_string("text", finding->text);
	fputs(", ", stdout);
	print_string("mend", finding->mend);
	putchar('}');
}

static void take(const struct finding *finding, void *context)
{
	struct printing *printing = context;
	unsigned before = 0;
	char shown[4 * sizeof(finding->text)];

	for (int i = 0; i < SEVERITIES; i++)
		before += printing->count[i];
	printing->count[finding->severity]++;
	if (printing->json) {
		print_json(finding, before == 0);
		return;
	}
	text_show(shown, sizeof(shown) - 1, span_of(finding->text));
	printf("%-7s  %-13s  %s\n", words[finding->severity], finding->check, shown);
	text_show(shown, sizeof(shown) - 1, span_of(finding->mend));
	if (finding->mend[0])
		printf("%25s-> %s\n", "", shown);
	fflush(stdout);
}

static void not_loaded(const char *file, const struct err *err, struct printing *printing)
{
	struct finding finding = {.severity = SEVERITY_ERROR, .check = "configuration"};

	snprintf(finding.text, sizeof(finding.text), "%s", err->text);
	snprintf(finding.mend, sizeof(finding.mend), "edit it, then: valijad -t -c %s", file);
	take(&finding, printing);
}

static int usage(void)
{
	fputs("usage: valija doctor [-c CONF] [--json]\n", stderr);
	return EX_USAGE;
}

int doctor_main(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
						{"json", no_argument, NULL, 'j'},
						{NULL, 0, NULL, 0}};
	static struct config config;
	struct printing printing = {.json = false};
	const char *named = NULL;
	struct err err = {0};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (c == 'c')
			named = optarg;
		else if (c == 'j')
			printing.json = true;
		else
			return usage();
	}
	if (optind < argc)
		return usage();
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (config_load(command_config(named), &config, &err) < 0)
		not_loaded(command_config(named), &err, &printing);
	for (size_t i = 0; !err.text[0] && i < sizeof(checks) / sizeof(checks[0]); i++) {
		fflush(stdout);
		check_run(&checks[i], &config, take, &printing);
	}
	if (printing.json)
		puts("\n]");
	else
		printf("%u errors, %u warnings, %u notes\n", printing.count[SEVERITY_ERROR],
		       printing.count[SEVERITY_WARNING], printing.count[SEVERITY_NOTE]);
	if (fflush(stdout) != 0)
		return EX_IOERR;
	return printing.count[SEVERITY_ERROR] ? 2 : printing.count[SEVERITY_WARNING] ? 1 : 0;
}
