/* Open: one call of open(), everything that it makes the accepting side do, and a listener who replays what he saw (PROTOCOL.md §4).
 *
 * Circuits 0 to LAST belong to the dialing side, in order; the others to the listener. Either side may lose any circuit but LAST at any moment,
 * without the other knowing: what is in flight then arrives late, in part, or never. The session that the OPEN of circuit k makes is session k.
 * MACs are abstracted to what they cover: CONFIRM to the OPENED of its own circuit, RESUME to session and generation; the listener can copy both
 * but make neither. The application's first message, "transfer 100", is DATA. Policy for duplicates: reject.
 *
 * DROPS     a provisional session whose circuit is lost may be dropped at any time (O-8) */
#ifndef CIRCUITS
#define CIRCUITS 3
#endif
#ifndef REPLAYS
#define REPLAYS 1
#endif
#define ALL (CIRCUITS + REPLAYS)
#define LAST (CIRCUITS - 1)
#define NONE 15

mtype = { OPEN, OPENED, CONFIRM, RESUME, RESUMED, DATA, BUSY, UNKNOWN, STALE_GENERATION, DUPLICATE };
mtype = { ABSENT, PROVISIONAL, REAL, DROPPED, CLOSED };

chan up[ALL] = [3] of { mtype, byte, byte };     /* session, generation */
chan down[ALL] = [2] of { mtype, byte };         /* session */
bool dialGone[ALL]; bool acceptGone[ALL];

/* the dialing side */
byte used; byte circuit = NONE; byte session = NONE; byte generation = 1;
bool attached; bool failed; bool lost;           /* lost: a circuit was lost after OPENED had been read */
byte captured[CIRCUITS];                         /* generation of the RESUME that was written there */

/* the accepting side, by session */
mtype state[ALL] = ABSENT;
byte owner[ALL]; byte highest[ALL]; bool received[ALL];
byte runs; byte delivered;                       /* what the application was given, over all sessions */
bool proved[ALL];                                /* ghost: a good CONFIRM, or a RESUME that passed everything */

hidden byte x; hidden byte g; hidden byte i; hidden byte was;

#define PUT_UP(k, ...) if :: acceptGone[k] :: else -> up[k]!__VA_ARGS__ fi
#define PUT_DOWN(k, ...) if :: dialGone[k] :: else -> down[k]!__VA_ARGS__ fi
#define RUN runs++; assert(runs == 1)              /* one open(), one run */
#define LEAVE_UP(k) acceptGone[k] = true; do :: nempty(up[k]) -> up[k]?_, _, _ :: empty(up[k]) -> break od
#define LEAVE_DOWN(k) dialGone[k] = true; do :: nempty(down[k]) -> down[k]?_, _ :: empty(down[k]) -> break od

/* ------------------------------------------------------------------ dialing side */

inline leave() { LEAVE_DOWN(circuit); lost = lost || session != NONE; circuit = NONE; attached = false }

inline dial() {
  circuit = used; used++;
  if
  :: session == NONE -> up[circuit]!OPEN, 0, 0;  /* O-10: with a new nonce, hence another session */
#ifdef MUTANT_OPEN_WITH_DATA
     up[circuit]!DATA, 0, 0
#endif
  :: else ->
     generation++; captured[circuit] = generation;
     up[circuit]!RESUME, session, generation;
     if :: up[circuit]!DATA, 0, 0 :: true fi     /* early data, or none */
  fi
}

proctype DialingSide() {
end: do
  :: atomic { !failed && circuit == NONE && used < CIRCUITS -> dial() }
  :: atomic { circuit != NONE && nempty(down[circuit]) ->
       if
       :: down[circuit]?OPENED, x -> session = x;
            PUT_UP(circuit, CONFIRM, x, 0); PUT_UP(circuit, DATA, 0, 0); attached = true
       :: down[circuit]?RESUMED, _ -> attached = true; PUT_UP(circuit, DATA, 0, 0)
       :: down[circuit]?UNKNOWN, _ ->            /* X-4, three answers: here that of the last circuit is believed */
            if
            :: circuit == LAST -> failed = true
            :: else
#ifdef MUTANT_REOPENS
               -> session = NONE
#endif
            fi;
            leave()
       :: down[circuit]?DUPLICATE, _ -> failed = true; leave()
       :: down[circuit]?BUSY, _ -> leave()
       :: down[circuit]?STALE_GENERATION, _ -> leave()
       fi }
  :: atomic { circuit != NONE && (circuit != LAST || (acceptGone[circuit] && empty(down[circuit]))) -> leave() }
  od
}

/* Repeats what a circuit of the dialing side carried, on one of his own: the OPEN and, where there was one, the CONFIRM; or a RESUME.
 * Not that of the last circuit: who forwards a RESUME before its writer does, takes the session until the next RESUME (Z-5). */
proctype Listener(byte k) {
end: if
  :: atomic { used > 0 -> up[k]!OPEN, 0, 0;
       if :: session != NONE -> up[k]!CONFIRM, session, 0; up[k]!DATA, 0, 0 :: true fi }
  :: atomic { session != NONE ->
       g = 0; do :: g + 1 < LAST -> g++ :: break od;
       if :: captured[g] != 0 -> up[k]!RESUME, session, captured[g]; up[k]!DATA, 0, 0 :: else fi }
  fi
}

/* ------------------------------------------------------------------ accepting side */

/* The same principal may not have two sessions: a real one counts, a provisional one does not. */
inline makeReal(it, on) {
  x = 0; i = 0;
  do
  :: i < ALL && i != it && state[i] == REAL -> x = 1; i++
#ifdef MUTANT_PROVISIONAL_COUNTS
  :: i < ALL && i != it && state[i] == PROVISIONAL -> x = 1; i++
#endif
  :: i < ALL && (i == it || (state[i] != REAL && state[i] != PROVISIONAL)) -> i++
#ifndef MUTANT_PROVISIONAL_COUNTS
  :: i < ALL && i != it && state[i] == PROVISIONAL -> i++
#endif
  :: i == ALL -> break
  od;
  if
  :: x == 1 -> state[it] = CLOSED; PUT_DOWN(on, DUPLICATE, 0)
  :: else -> state[it] = REAL; RUN
  fi
}

inline accept(it, on) {
  if                                             /* the circuit of OPEN waits for its CONFIRM, which may come late */
  :: owner[it] != on && state[it] == REAL -> LEAVE_UP(owner[it])
  :: else
  fi;
  proved[it] = true; owner[it] = on
}

inline judge(k) {                                /* RESUME: x is the session, g its generation */
  if
  :: k != LAST -> PUT_DOWN(k, UNKNOWN, 0); LEAVE_UP(k)   /* a wrong node */
  :: state[x] == ABSENT || state[x] == DROPPED -> PUT_DOWN(k, UNKNOWN, 0); LEAVE_UP(k)
  :: state[x] == CLOSED -> PUT_DOWN(k, DUPLICATE, 0); LEAVE_UP(k)
  :: state[x] == PROVISIONAL || state[x] == REAL ->
#ifdef MUTANT_REAL_BEFORE_FENCE
     if :: state[x] == PROVISIONAL -> state[x] = REAL; RUN :: else fi;
#endif
     if
     :: k != LAST -> PUT_DOWN(k, BUSY, 0); LEAVE_UP(k)
     :: g <= highest[x] -> PUT_DOWN(k, STALE_GENERATION, 0); LEAVE_UP(k)
     :: g > highest[x] ->
        highest[x] = g;
        accept(x, k);
        PUT_DOWN(k, RESUMED, x);
        if :: state[x] == PROVISIONAL -> g = x; makeReal(g, k) :: else fi
     fi
  fi
}

proctype Circuit(byte k) {
end: do
  :: atomic { !acceptGone[k] && up[k]?[OPEN, _, _] -> up[k]?OPEN, _, _;
       if
       :: k != LAST -> PUT_DOWN(k, BUSY, 0); LEAVE_UP(k)
       :: state[k] = PROVISIONAL; owner[k] = k; highest[k] = 1; PUT_DOWN(k, OPENED, k);
#ifdef MUTANT_OPEN_WITH_DATA
          state[k] = REAL; proved[k] = true; RUN
#endif
       fi }
  :: atomic { !acceptGone[k] && up[k]?[CONFIRM, _, _] -> up[k]?CONFIRM, x, _;
       if
#ifdef MUTANT_CONFIRM_UNBOUND
       :: state[k] == PROVISIONAL -> accept(k, k); makeReal(k, k)
       :: else -> LEAVE_UP(k)
#else
#ifdef MUTANT_CONFIRM_LATE
       :: x == k && (state[k] == PROVISIONAL || state[k] == REAL) -> accept(k, k); makeReal(k, k)
       :: else -> LEAVE_UP(k)
#else
       :: x == k && state[k] == PROVISIONAL -> accept(k, k); makeReal(k, k)
#ifdef MUTANT_OPEN_WITH_DATA
       :: x == k && state[k] == REAL
#endif
       :: else -> LEAVE_UP(k)                    /* a bad mac; or a RESUME has made it real; or it was dropped */
#endif
#endif
       fi }
  :: atomic { !acceptGone[k] && up[k]?[RESUME, _, _] -> up[k]?RESUME, x, g; was = x; judge(k);
       assert(state[was] != REAL || proved[was]) }   /* a refused RESUME changes nothing */
  :: atomic { !acceptGone[k] && up[k]?[DATA, _, _] ->
       up[k]?DATA, _, _;
       x = 0; do :: x < ALL && !(state[x] == REAL && owner[x] == k) -> x++ :: else -> break od;
       if
       :: x < ALL && !received[x] -> received[x] = true; delivered++; assert(delivered == 1)
       :: else                                   /* a duplicate below `received`; or a circuit that carries nothing */
       fi }
  :: atomic { !acceptGone[k] && ((dialGone[k] && empty(up[k])) || (k != LAST && k < used) || (k > LAST && empty(up[k]))) -> LEAVE_UP(k) }
#ifdef DROPS
#ifdef MUTANT_DROPS_LIVE
  :: atomic { state[k] == PROVISIONAL -> state[k] = DROPPED }
#else
  :: atomic { state[k] == PROVISIONAL && acceptGone[k] -> state[k] = DROPPED }
#endif
#endif
  od
}

proctype Verdict() {
  atomic { timeout ->
    if
    :: failed -> assert(runs == 0 && lost && state[session] == DROPPED)   /* an error is the truth: nothing has run */
    :: else -> assert(attached && state[session] == REAL && runs == 1 && delivered == 1)
    fi
  }
}

init {
  atomic {
    run DialingSide(); run Verdict();
    x = 0; do :: x < ALL -> run Circuit(x); x++ :: else -> break od;
    x = CIRCUITS; do :: x < ALL -> run Listener(x); x++ :: else -> break od
  }
}
