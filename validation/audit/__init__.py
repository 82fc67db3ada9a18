"""The checks of every event and every decision of a market, for `validation.soak`.

`sessions` processes the events of one market with the functions of `mm_gym.core`. It writes down
what an event may change (`ledger`) before and after it, and compares the two:

| module | what it checks |
|---|---|
| `state` | what always holds: a sound book with the quotes in it; wealth is the sum of its parts |
| `flow` | an event changes what events of its kind may change; lots and money move, none is lost |
| `account` | cash, inventory and fees move by what left the agent's orders |
| `rewards` | a decision's mid, observation, outcome and reward |

A fault is a code (`faults`); 0 means none. Lots are compared exactly, cash within rounding errors.
"""
