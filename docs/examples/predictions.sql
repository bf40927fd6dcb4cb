SELECT count(*) FROM farm
SELECT Theme FROM farm_competition ORDER BY Year
SELECT avg(Working_Horses) FROM farm WHERE Total_Horses > 5000
SELECT min(Cows), max(Cows) FROM farm
SELECT Official_Name FROM city ORDER BY Population
SELECT Official_Name, Status FROM cities ORDER BY Population DESC LIMIT 1
