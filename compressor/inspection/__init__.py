"""How much each group of channels matters, scored group by group and drawn."""
