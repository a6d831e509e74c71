"""What a house is made of: kinds of rooms, places and objects, a word each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PlaceKind:
    """A kind of place to put things."""

    opens: bool = False
    inside: bool = False  # things are "in" it, not "on" it
    most: int = 1  # of one house in one room


PLACES = {
    "armchair": PlaceKind(),
    "bathtub": PlaceKind(inside=True),
    "bed": PlaceKind(),
    "cabinet": PlaceKind(opens=True, inside=True, most=3),
    "coffeetable": PlaceKind(),
    "countertop": PlaceKind(most=2),
    "desk": PlaceKind(),
    "diningtable": PlaceKind(),
    "drawer": PlaceKind(opens=True, inside=True, most=3),
    "dresser": PlaceKind(),
    "fridge": PlaceKind(opens=True, inside=True),
    "garbagecan": PlaceKind(inside=True),
    "microwave": PlaceKind(opens=True, inside=True),
    "safe": PlaceKind(opens=True, inside=True),
    "shelf": PlaceKind(most=3),
    "sidetable": PlaceKind(most=2),
    "sinkbasin": PlaceKind(inside=True),
    "sofa": PlaceKind(),
    "stoveburner": PlaceKind(most=2),
    "toilet": PlaceKind(),
    "tvstand": PlaceKind(),
}

ROOMS = {
    "kitchen": "countertop fridge microwave sinkbasin cabinet drawer diningtable shelf stoveburner garbagecan",
    "bathroom": "countertop sinkbasin toilet cabinet drawer shelf bathtub garbagecan",
    "bedroom": "bed desk drawer sidetable shelf dresser safe garbagecan",
    "livingroom": "sofa coffeetable armchair tvstand sidetable drawer shelf diningtable",
}
"""The kinds of places in each kind of room."""

LAMPS = {"desklamp": ("desk", "sidetable", "dresser"), "floorlamp": ("sidetable", "coffeetable", "shelf")}
"""What gives light, and what it stands on; never in something that closes, and never taken away."""

ROOM_LAMPS = {"bedroom": "desklamp", "livingroom": "floorlamp"}

APPLIANCES = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}
"""What makes things clean, hot and cool."""

STATES = {"clean": "clean", "heat": "hot", "cool": "cool"}


@dataclass(frozen=True)
class ObjectKind:
    """A kind of thing to take: what can be done to it, and where in a house of mine it lies about."""

    does: str
    lies: str


OBJECTS = {
    "apple": ObjectKind("clean heat cool", "countertop diningtable fridge sinkbasin garbagecan"),
    "bread": ObjectKind("heat cool", "countertop diningtable fridge"),
    "egg": ObjectKind("clean heat cool", "fridge countertop sinkbasin garbagecan"),
    "lettuce": ObjectKind("clean cool", "fridge countertop diningtable sinkbasin"),
    "potato": ObjectKind("clean heat cool", "countertop sinkbasin fridge garbagecan"),
    "tomato": ObjectKind("clean heat cool", "countertop diningtable fridge sinkbasin"),
    "bowl": ObjectKind("clean cool", "cabinet shelf countertop diningtable coffeetable"),
    "cup": ObjectKind("clean heat cool", "cabinet shelf countertop sinkbasin"),
    "fork": ObjectKind("clean", "drawer countertop diningtable sinkbasin"),
    "knife": ObjectKind("clean", "drawer countertop diningtable"),
    "ladle": ObjectKind("clean", "drawer countertop stoveburner"),
    "mug": ObjectKind("clean heat cool", "cabinet countertop sinkbasin desk shelf"),
    "pan": ObjectKind("clean cool", "stoveburner cabinet countertop"),
    "plate": ObjectKind("clean heat cool", "cabinet diningtable countertop shelf"),
    "pot": ObjectKind("clean cool", "stoveburner cabinet shelf"),
    "saltshaker": ObjectKind("", "cabinet countertop diningtable drawer"),
    "spoon": ObjectKind("clean", "drawer countertop sinkbasin"),
    "candle": ObjectKind("", "bathtub countertop toilet shelf"),
    "cloth": ObjectKind("clean", "bathtub cabinet countertop sinkbasin"),
    "soapbar": ObjectKind("clean", "sinkbasin bathtub countertop cabinet"),
    "spraybottle": ObjectKind("", "toilet cabinet countertop garbagecan"),
    "toiletpaper": ObjectKind("", "toilet cabinet drawer shelf"),
    "alarmclock": ObjectKind("light", "desk sidetable dresser shelf"),
    "book": ObjectKind("light", "bed desk sidetable sofa shelf"),
    "cd": ObjectKind("light", "desk drawer safe shelf"),
    "cellphone": ObjectKind("light", "bed desk dresser sidetable drawer"),
    "creditcard": ObjectKind("light", "desk drawer sidetable armchair coffeetable"),
    "keychain": ObjectKind("light", "drawer sidetable safe sofa coffeetable"),
    "laptop": ObjectKind("light", "bed desk sofa coffeetable diningtable"),
    "pen": ObjectKind("light", "desk drawer shelf sidetable"),
    "pencil": ObjectKind("light", "desk drawer shelf garbagecan"),
    "pillow": ObjectKind("light", "bed sofa armchair"),
    "box": ObjectKind("light", "sofa coffeetable diningtable dresser"),
    "newspaper": ObjectKind("light", "sofa coffeetable armchair sidetable"),
    "remotecontrol": ObjectKind("light", "sofa tvstand armchair coffeetable"),
    "statue": ObjectKind("light", "shelf tvstand coffeetable sidetable dresser"),
    "vase": ObjectKind("light", "shelf tvstand diningtable sidetable"),
    "watch": ObjectKind("light", "coffeetable sidetable tvstand drawer"),
}

MOST_OF_A_KIND = 12  # places of one kind in a house, or objects: the largest number after a name
