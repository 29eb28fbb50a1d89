/* `valija trace`: the dialogue of a user's next sessions with a server that runs. */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

int trace_main(int argc, char **argv);

#endif
